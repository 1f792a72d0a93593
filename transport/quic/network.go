package quic

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	quicgo "github.com/quic-go/quic-go"

	"lockstep/transport"
	"lockstep/transport/certs"
)

var _ transport.Network = (*Network)(nil)

// Sockets opens a socket at an address; the Network closes it. UDP is the one of
// production.
type Sockets func(address string) (net.PacketConn, error)

// Deps are what a Network is handed.
type Deps struct {
	Sockets Sockets
	// Credentials is asked at every handshake, so that a rotation needs no restart.
	Credentials func() *certs.Credentials
	Logger      *slog.Logger
}

// Network speaks QUIC over the sockets it opens. It must be closed.
type Network struct {
	cfg  Config
	deps Deps

	mu     sync.Mutex
	closed bool
	// sockets are open, the first of them is dialed from.
	sockets []*socket
	conns   map[*conn]struct{}
}

// socket is one UDP socket, for listening and dialing.
type socket struct {
	packets net.PacketConn
	quic    *quicgo.Transport
	// listener is nil unless somebody listens; guarded by Network.mu.
	listener *listener
}

// New returns a Network which opens no socket before it is used.
func New(cfg Config, deps Deps) (*Network, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	quiet()
	return &Network{cfg: cfg, deps: deps, conns: map[*conn]struct{}{}}, nil
}

// OnPacketConn is Sockets of one socket that is already open, whatever address
// is asked for.
func OnPacketConn(packets net.PacketConn) Sockets {
	var once sync.Once
	return func(address string) (net.PacketConn, error) {
		err := fmt.Errorf("%w: %s: there is one socket only", transport.ErrAddressInUse, address)
		once.Do(func() { err = nil })
		return packets, err
	}
}

// quiet keeps quic-go from writing to standard error that a socket's buffers
// could not be enlarged: it works with smaller ones.
var quiet = sync.OnceFunc(func() {
	const variable = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"
	if _, set := os.LookupEnv(variable); !set {
		_ = os.Setenv(variable, "true")
	}
})

// Listen implements transport.Network. An address is HOST:PORT, with a host of
// this machine or none.
func (n *Network) Listen(address string) (transport.Listener, error) {
	if _, _, err := splitAddress(address); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s, err := n.socketAt(address)
	if err != nil {
		return nil, err
	}
	accepting, err := s.quic.Listen(n.serverTLS(), n.serverConfig())
	if err != nil {
		return nil, fmt.Errorf("transport: listen on %s: %w", address, err)
	}
	s.listener = newListener(n, s, accepting)
	return s.listener, nil
}

// Close ends every connection and closes every socket. Peers are told.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	sockets := n.sockets
	n.sockets = nil
	conns := make([]*conn, 0, len(n.conns))
	for c := range n.conns {
		conns = append(conns, c)
	}
	n.mu.Unlock()
	for _, s := range sockets {
		if s.listener != nil {
			_ = s.listener.Close()
		}
	}
	for _, c := range conns {
		_ = c.Close("network closed")
	}
	var errs []error
	for _, s := range sockets {
		errs = append(errs, s.quic.Close(), s.packets.Close())
	}
	return errors.Join(errs...)
}

// socketAt finds or opens the socket to listen at; callers hold mu.
func (n *Network) socketAt(address string) (*socket, error) {
	for _, s := range n.sockets {
		if s.packets.LocalAddr().String() == address {
			if s.listener != nil {
				return nil, fmt.Errorf("%w: %s", transport.ErrAddressInUse, address)
			}
			return s, nil
		}
	}
	s, err := n.open(address)
	if err != nil {
		return nil, err
	}
	n.sockets = append([]*socket{s}, n.sockets...)
	return s, nil
}

// dialSocket is the socket to dial from; opened if need be.
func (n *Network) dialSocket() (*socket, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.sockets) == 0 {
		s, err := n.open(n.cfg.DialFrom)
		if err != nil {
			return nil, err
		}
		n.sockets = []*socket{s}
	}
	return n.sockets[0], nil
}

func (n *Network) open(address string) (*socket, error) {
	if n.closed {
		return nil, fmt.Errorf("%w: network", transport.ErrClosed)
	}
	packets, err := n.deps.Sockets(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%w: %s: %w", transport.ErrAddressInUse, address, err)
	case err != nil:
		return nil, fmt.Errorf("transport: open socket at %s: %w", address, err)
	}
	resetKey := quicgo.StatelessResetKey(n.deps.Credentials().ResetKey())
	return &socket{
		packets: packets,
		quic:    &quicgo.Transport{Conn: packets, StatelessResetKey: &resetKey},
	}, nil
}

// serverTLS asks for the credentials anew at every handshake.
func (n *Network) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			remote := hello.Conn.RemoteAddr().String()
			return n.deps.Credentials().ServerTLS(Protocol, func(err error) {
				n.deps.Logger.Warn("refused a connection", "remote", remote, "error", err)
			}), nil
		},
	}
}

func (n *Network) serverConfig() *quicgo.Config {
	cfg := n.cfg.quic()
	cfg.MaxIncomingUniStreams = -1 // only the accepting side greets
	return cfg
}

// track keeps a connection until it ends; false: the network is closed.
func (n *Network) track(c *conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.conns[c] = struct{}{}
	return true
}

func (n *Network) untrack(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// splitAddress checks HOST:PORT.
func splitAddress(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %q is not HOST:PORT", transport.ErrAddress, address)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %q: the port must be a number up to 65535", transport.ErrAddress, address)
	}
	return host, uint16(number), nil
}

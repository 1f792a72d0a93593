package quic

import (
	"context"
	"fmt"
	"sync"

	quicgo "github.com/quic-go/quic-go"

	"lockstep/transport"
)

// listener hands out the connections that were greeted.
type listener struct {
	network *Network
	socket  *socket
	quic    *quicgo.Listener
	ready   chan *conn
	ctx     context.Context
	stop    context.CancelFunc

	mu       sync.Mutex
	accepted map[*conn]struct{}
}

var _ transport.Listener = (*listener)(nil)

func newListener(n *Network, s *socket, accepting *quicgo.Listener) *listener {
	l := &listener{
		network: n, socket: s, quic: accepting,
		ready: make(chan *conn, n.cfg.Backlog), accepted: map[*conn]struct{}{},
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	go l.run()
	return l
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	for {
		select {
		case <-l.ctx.Done():
			return nil, l.closedError()
		default:
		}
		select {
		case c := <-l.ready:
			if c.ctx.Err() == nil {
				return c, nil
			}
		case <-l.ctx.Done():
			return nil, l.closedError()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *listener) closedError() error {
	return fmt.Errorf("%w: listener of %s", transport.ErrClosed, l.Addr())
}

// Addr implements transport.Listener.
func (l *listener) Addr() string { return l.socket.packets.LocalAddr().String() }

// Close implements transport.Listener. The socket stays open for what was dialed
// from it, until the network is closed.
func (l *listener) Close() error {
	l.mu.Lock()
	l.stop()
	accepted := l.accepted
	l.accepted = nil
	l.mu.Unlock()
	err := l.quic.Close()
	for c := range accepted {
		_ = c.Close("listener closed")
	}
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.socket.listener == l {
		l.socket.listener = nil
	}
	return err
}

// run accepts until the listener is closed.
func (l *listener) run() {
	for {
		quicConn, err := l.quic.Accept(context.Background())
		if err != nil {
			l.stop() // the listener or its socket is closed
			return
		}
		l.admit(quicConn)
	}
}

// admit greets a peer whose certificate TLS has verified. Nothing here waits for
// the peer.
func (l *listener) admit(quicConn *quicgo.Conn) {
	c, err := l.greet(quicConn)
	if err != nil {
		_ = quicConn.CloseWithError(codeRefused, transport.ClipReason(err.Error()))
		return
	}
	l.mu.Lock()
	open := l.ctx.Err() == nil
	if open {
		l.accepted[c] = struct{}{}
	}
	l.mu.Unlock()
	if !open {
		_ = c.Close("listener closed")
		return
	}
	context.AfterFunc(c.ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.accepted, c)
	})
	select {
	case l.ready <- c:
	default:
		l.network.deps.Logger.Warn("refused a connection: too many wait to be accepted", "remote", c.peer.Address)
		_ = c.Close("too many connections wait to be accepted")
	}
}

func (l *listener) greet(quicConn *quicgo.Conn) (*conn, error) {
	if len(l.ready) == cap(l.ready) {
		return nil, fmt.Errorf("too many connections wait to be accepted")
	}
	stream, err := quicConn.OpenUniStream()
	if err != nil {
		return nil, fmt.Errorf("the dialer takes no greeting: %w", err)
	}
	if _, err := stream.Write([]byte{greeting}); err != nil {
		return nil, err
	}
	if err := stream.Close(); err != nil {
		return nil, err
	}
	return l.network.newConn(quicConn)
}

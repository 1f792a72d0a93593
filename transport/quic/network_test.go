package quic_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"lockstep/transport"
	"lockstep/transport/certs"
	"lockstep/transport/quic"
)

const patience = 20 * time.Second

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func listen(t *testing.T, n *quic.Network, address string) transport.Listener {
	t.Helper()
	l, err := n.Listen(address)
	require.NoError(t, err)
	return l
}

func TestConfig_Validate(t *testing.T) {
	require.NoError(t, quic.DefaultConfig().Validate())
	for name, change := range map[string]func(*quic.Config){
		"KeepAlive":        func(c *quic.Config) { c.KeepAlive = 0 },
		"KeepAlive is":     func(c *quic.Config) { c.KeepAlive = c.IdleTimeout },
		"IdleTimeout":      func(c *quic.Config) { c.IdleTimeout = time.Millisecond },
		"HandshakeTimeout": func(c *quic.Config) { c.HandshakeTimeout = -1 },
		"StreamWindow":     func(c *quic.Config) { c.StreamWindow = 0 },
		"MaxStreamWindow":  func(c *quic.Config) { c.MaxStreamWindow = c.StreamWindow - 1 },
		"ConnectionWindow": func(c *quic.Config) { c.ConnectionWindow = 1 },
		"MaxStreams":       func(c *quic.Config) { c.MaxStreams = 0 },
		"Backlog":          func(c *quic.Config) { c.Backlog = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := quic.DefaultConfig()
			change(&cfg)
			require.ErrorContains(t, cfg.Validate(), name)
			_, err := quic.New(cfg, quic.Deps{})
			require.Error(t, err)
		})
	}
}

// A server's clock may judge a certificate that the dialer thinks is fine. The
// dialer must learn of it from Dial, though its handshake was complete.
func TestDial_ServerRefusesCertificate(t *testing.T) {
	home := newAuthority(t)
	pair, err := home.IssueNode("n1", nil, validity(time.Hour))
	require.NoError(t, err)
	later := func() time.Time { return clockwork.NewRealClock().Now().Add(30 * time.Minute) }
	server, err := certs.Load(home.cert, pair, later)
	require.NoError(t, err)
	short, err := home.IssueClient("alice", validity(time.Minute))
	require.NoError(t, err)

	var log lockedBuffer
	n, err := quic.New(quic.DefaultConfig(), quic.Deps{
		Sockets: quic.UDP, Credentials: func() *certs.Credentials { return server },
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	listener := listen(t, n, "127.0.0.1:0")

	_, err = newNetwork(t, quic.DefaultConfig(), quic.UDP, home.load(t, short)).Dial(limited(t), listener.Addr())
	require.ErrorIs(t, err, transport.ErrRefused)
	require.ErrorContains(t, err, "certificate")
	require.Contains(t, log.String(), certs.ErrExpired.Error())
	require.Contains(t, log.String(), "alice")
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestDial_StrangerSaysWhy(t *testing.T) {
	listener := listen(t, newNetwork(t, quic.DefaultConfig(), quic.UDP, newAuthority(t).node(t, "n1")), "127.0.0.1:0")
	client := newNetwork(t, quic.DefaultConfig(), quic.UDP, newAuthority(t).client(t, "alice"))
	_, err := client.Dial(limited(t), listener.Addr())
	require.ErrorIs(t, err, transport.ErrRefused)
	require.ErrorIs(t, err, certs.ErrStranger)
}

func TestDial_Addresses(t *testing.T) {
	home := newAuthority(t)
	client := newNetwork(t, quic.DefaultConfig(), quic.UDP, home.client(t, "alice"))
	for _, c := range []struct {
		name, address string
		want          error
	}{
		{"no port", "127.0.0.1", transport.ErrAddress},
		{"no host", ":7000", transport.ErrAddress},
		{"port 0", "127.0.0.1:0", transport.ErrAddress},
		{"port too large", "127.0.0.1:70000", transport.ErrAddress},
		{"named port", "127.0.0.1:lockstep", transport.ErrAddress},
		{"a name that nobody has", "no-such-host.invalid:7000", transport.ErrUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := client.Dial(limited(t), c.address)
			require.ErrorIs(t, err, c.want)
		})
	}
	listener := listen(t, newNetwork(t, quic.DefaultConfig(), quic.UDP, home.node(t, "n1")), "127.0.0.1:0")
	_, port, err := net.SplitHostPort(listener.Addr())
	require.NoError(t, err)
	_, err = client.Dial(limited(t), net.JoinHostPort("localhost", port))
	require.NoError(t, err)
}

// One socket listens and dials: a peer sees the listener's address.
func TestListenerAndDialerShareASocket(t *testing.T) {
	home := newAuthority(t)
	n1 := newNetwork(t, quic.DefaultConfig(), quic.UDP, home.node(t, "n1"))
	n2 := newNetwork(t, quic.DefaultConfig(), quic.UDP, home.node(t, "n2"))
	l1, l2 := listen(t, n1, "127.0.0.1:0"), listen(t, n2, "127.0.0.1:0")
	_, err := n1.Dial(limited(t), l2.Addr())
	require.NoError(t, err)
	accepted, err := l2.Accept(limited(t))
	require.NoError(t, err)
	require.Equal(t, l1.Addr(), accepted.Peer().Address)
	require.Equal(t, "n1", accepted.Peer().Node)

	require.NoError(t, l1.Close())
	require.NoError(t, accepted.Context().Err(), "what was dialed outlives the listener")
}

func TestListen_AddressOfAnotherProcess(t *testing.T) {
	home := newAuthority(t)
	l := listen(t, newNetwork(t, quic.DefaultConfig(), quic.UDP, home.node(t, "n1")), "127.0.0.1:0")
	_, err := newNetwork(t, quic.DefaultConfig(), quic.UDP, home.node(t, "n2")).Listen(l.Addr())
	require.ErrorIs(t, err, transport.ErrAddressInUse)
	require.ErrorContains(t, err, l.Addr())
}

func TestOnPacketConn(t *testing.T) {
	home := newAuthority(t)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	n := newNetwork(t, quic.DefaultConfig(), quic.OnPacketConn(packets), home.node(t, "n1"))
	l := listen(t, n, "whatever:0")
	require.Equal(t, packets.LocalAddr().String(), l.Addr())
	_, err = n.Listen("another:0")
	require.ErrorIs(t, err, transport.ErrAddressInUse)
}

func TestRotation(t *testing.T) {
	home := newAuthority(t)
	var current atomic.Pointer[certs.Credentials]
	current.Store(home.node(t, "before"))
	n, err := quic.New(quic.DefaultConfig(), quic.Deps{
		Sockets: quic.UDP, Credentials: current.Load, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	listener := listen(t, n, "127.0.0.1:0")
	client := newNetwork(t, quic.DefaultConfig(), quic.UDP, home.client(t, "alice"))
	for _, name := range []string{"before", "after"} {
		current.Store(home.node(t, name))
		conn, err := client.Dial(limited(t), listener.Addr())
		require.NoError(t, err)
		require.Equal(t, name, conn.Peer().Node)
	}
}

// A node that was killed and started again knows nothing of its connections. Its
// peers learn that from its first answer, long before the idle timeout.
func TestRestartedPeerIsNoticedAtOnce(t *testing.T) {
	home := newAuthority(t)
	cfg := quic.DefaultConfig()
	cfg.KeepAlive, cfg.IdleTimeout = 50*time.Millisecond, time.Hour
	node := home.node(t, "n1")

	var silent atomic.Bool
	first := newNetwork(t, cfg, func(address string) (net.PacketConn, error) {
		packets, err := quic.UDP(address)
		return &lossy{PacketConn: packets, silent: &silent}, err
	}, node)
	listener := listen(t, first, "127.0.0.1:0")
	conn, err := newNetwork(t, cfg, quic.UDP, home.client(t, "alice")).Dial(limited(t), listener.Addr())
	require.NoError(t, err)
	stream, err := conn.OpenStream(limited(t), transport.PurposeOps)
	require.NoError(t, err)

	silent.Store(true) // killed: it says no farewell
	require.NoError(t, first.Close())
	listen(t, newNetwork(t, cfg, quic.UDP, node), listener.Addr())
	_, err = stream.Write(make([]byte, 1000)) // a keep-alive alone is too small to be answered
	require.NoError(t, err)
	select {
	case <-conn.Context().Done():
		require.ErrorIs(t, context.Cause(conn.Context()), transport.ErrLost)
		require.ErrorContains(t, context.Cause(conn.Context()), "restarted")
	case <-limited(t).Done():
		t.Fatal("not noticed")
	}
}

func TestBacklog(t *testing.T) {
	home := newAuthority(t)
	cfg := quic.DefaultConfig()
	cfg.Backlog = 1
	listener := listen(t, newNetwork(t, cfg, quic.UDP, home.node(t, "n1")), "127.0.0.1:0")
	client := newNetwork(t, cfg, quic.UDP, home.client(t, "alice"))
	first, err := client.Dial(limited(t), listener.Addr())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := client.Dial(limited(t), listener.Addr())
		return err != nil
	}, patience, time.Millisecond)
	_, err = client.Dial(limited(t), listener.Addr())
	require.ErrorIs(t, err, transport.ErrRefused)
	require.ErrorContains(t, err, "too many")

	accepted, err := listener.Accept(limited(t))
	require.NoError(t, err)
	require.NoError(t, accepted.Context().Err())
	require.NoError(t, first.Context().Err())
}

func TestNetwork_Close(t *testing.T) {
	home := newAuthority(t)
	server := newNetwork(t, quic.DefaultConfig(), quic.UDP, home.node(t, "n1"))
	listener := listen(t, server, "127.0.0.1:0")
	client := newNetwork(t, quic.DefaultConfig(), quic.UDP, home.client(t, "alice"))
	conn, err := client.Dial(limited(t), listener.Addr())
	require.NoError(t, err)
	accepted, err := listener.Accept(limited(t))
	require.NoError(t, err)

	require.NoError(t, client.Close())
	<-accepted.Context().Done()
	require.ErrorContains(t, context.Cause(accepted.Context()), "by the peer: network closed")
	require.ErrorIs(t, context.Cause(conn.Context()), transport.ErrClosed)
	_, err = client.Dial(limited(t), listener.Addr())
	require.ErrorIs(t, err, transport.ErrClosed)
	_, err = client.Listen("127.0.0.1:0")
	require.ErrorIs(t, err, transport.ErrClosed)

	require.NoError(t, server.Close())
	_, err = listener.Accept(limited(t))
	require.ErrorIs(t, err, transport.ErrClosed)
	listen(t, newNetwork(t, quic.DefaultConfig(), quic.UDP, home.node(t, "n1")), listener.Addr())
}

// A small message is one packet: its stream's purpose travels with it, and so
// does the acknowledgement of what came before.
func TestSmallWriteIsOnePacket(t *testing.T) {
	home := newAuthority(t)
	var sent atomic.Int64
	listener := listen(t, newNetwork(t, quic.DefaultConfig(), quic.UDP, home.node(t, "n1")), "127.0.0.1:0")
	conn, err := newNetwork(t, quic.DefaultConfig(), func(address string) (net.PacketConn, error) {
		packets, err := quic.UDP(address)
		return &counting{PacketConn: packets, sent: &sent}, err
	}, home.client(t, "alice")).Dial(limited(t), listener.Addr())
	require.NoError(t, err)
	accepted, err := listener.Accept(limited(t))
	require.NoError(t, err)
	stream, err := conn.OpenStream(limited(t), transport.PurposeOps)
	require.NoError(t, err)
	_, err = stream.Write([]byte("!"))
	require.NoError(t, err)
	echo, err := accepted.AcceptStream(limited(t))
	require.NoError(t, err)
	go func() { _, _ = io.Copy(echo, echo) }()

	const rounds = 200
	message := make([]byte, 100)
	_, err = io.ReadFull(stream, message[:1])
	require.NoError(t, err)
	before := sent.Load()
	for range rounds {
		_, err := stream.Write(message)
		require.NoError(t, err)
		_, err = io.ReadFull(stream, message)
		require.NoError(t, err)
	}
	require.InDelta(t, rounds, sent.Load()-before, rounds/10, "packets for %d messages", rounds)
}

// counting is a socket that counts what it sends.
type counting struct {
	net.PacketConn
	sent *atomic.Int64
}

func (c *counting) WriteTo(p []byte, to net.Addr) (int, error) {
	c.sent.Add(1)
	return c.PacketConn.WriteTo(p, to)
}

package quic_test

import (
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"lockstep/transport/certs"
	"lockstep/transport/quic"
	"lockstep/transport/transporttest"
)

func TestContract(t *testing.T) {
	home, elsewhere := newAuthority(t), newAuthority(t)
	node := home.node(t, transporttest.ServerNode)
	client := home.client(t, transporttest.ClientPrincipal)
	stranger := elsewhere.node(t, "mallory")

	transporttest.Run(t, func(t *testing.T, settings transporttest.Settings) transporttest.World {
		cfg := quic.DefaultConfig()
		// A starved machine shall not look like a dead peer where no test waits for it.
		cfg.IdleTimeout, cfg.HandshakeTimeout = time.Minute, time.Minute
		if settings.MaxStreams != 0 {
			cfg.MaxStreams = settings.MaxStreams
		}
		sockets := quic.UDP
		var silent atomic.Bool
		if settings.Faults {
			cfg.KeepAlive, cfg.IdleTimeout, cfg.HandshakeTimeout = 200*time.Millisecond, 1200*time.Millisecond, 1200*time.Millisecond
			sockets = func(address string) (net.PacketConn, error) {
				packets, err := quic.UDP(address)
				return &lossy{PacketConn: packets, silent: &silent}, err
			}
		}
		return transporttest.World{
			Server:          newNetwork(t, cfg, sockets, node),
			Client:          newNetwork(t, cfg, sockets, client),
			Stranger:        newNetwork(t, cfg, sockets, stranger),
			ServerAddress:   "127.0.0.1:0",
			StrangerAddress: "127.0.0.1:0",
			Nowhere:         nowhere(t),
			BadAddress:      "elsewhere",
			Clock:           clockwork.NewRealClock(),
			Elapse:          func() {},
			Silence:         func() { silent.Store(true) },
			Resume:          func() { silent.Store(false) },
		}
	})
}

// lossy is a socket that loses every packet it should send while silent.
type lossy struct {
	net.PacketConn
	silent *atomic.Bool
}

func (l *lossy) WriteTo(p []byte, to net.Addr) (int, error) {
	if l.silent.Load() {
		return len(p), nil
	}
	return l.PacketConn.WriteTo(p, to)
}

// nowhere is the address of a socket that nobody reads.
func nowhere(t *testing.T) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { packets.Close() })
	return packets.LocalAddr().String()
}

// authority issues credentials for tests.
type authority struct {
	*certs.Authority
	cert []byte
}

func newAuthority(tb testing.TB) authority {
	tb.Helper()
	a, err := certs.NewAuthority("test", validity(time.Hour))
	require.NoError(tb, err)
	pair, err := a.Pair()
	require.NoError(tb, err)
	return authority{a, pair.Cert}
}

func validity(d time.Duration) certs.Validity {
	return certs.Validity{Now: clockwork.NewRealClock().Now(), For: d}
}

func (a authority) node(tb testing.TB, id string) *certs.Credentials {
	tb.Helper()
	pair, err := a.IssueNode(id, nil, validity(time.Hour))
	require.NoError(tb, err)
	return a.load(tb, pair)
}

func (a authority) client(tb testing.TB, principal string) *certs.Credentials {
	tb.Helper()
	pair, err := a.IssueClient(principal, validity(time.Hour))
	require.NoError(tb, err)
	return a.load(tb, pair)
}

func (a authority) load(tb testing.TB, pair certs.Pair) *certs.Credentials {
	tb.Helper()
	credentials, err := certs.Load(a.cert, pair, clockwork.NewRealClock().Now)
	require.NoError(tb, err)
	return credentials
}

func newNetwork(tb testing.TB, cfg quic.Config, sockets quic.Sockets, credentials *certs.Credentials) *quic.Network {
	tb.Helper()
	n, err := quic.New(cfg, quic.Deps{
		Sockets:     sockets,
		Credentials: func() *certs.Credentials { return credentials },
		Logger:      slog.New(slog.DiscardHandler),
	})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, n.Close()) })
	return n
}

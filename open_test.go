package lockstep_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep"
	"lockstep/nodes"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/raftwire/memstore"
	"lockstep/transport/certs"
	"lockstep/transport/clocks/system"
	"lockstep/transport/quic"
)

// node starts a cluster of one node over QUIC on loopback, and writes what a
// client needs into a data directory as `lockstepd dev` does.
func node(t *testing.T) (dataDir string) {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	address := packets.LocalAddr().String()

	validity := certs.Validity{Now: clockwork.NewRealClock().Now(), For: time.Hour}
	authority, err := certs.NewAuthority("test", validity)
	require.NoError(t, err)
	root, err := authority.Pair()
	require.NoError(t, err)
	own, err := authority.IssueNode("n1", []string{"127.0.0.1"}, validity)
	require.NoError(t, err)
	operator, err := authority.IssueClient("operator", validity)
	require.NoError(t, err)
	credentials, err := certs.Load(root.Cert, own, system.Clocks().Wall)
	require.NoError(t, err)

	network, err := quic.New(quic.DefaultConfig(), quic.Deps{
		Sockets: quic.OnPacketConn(packets), Logger: slog.New(slog.DiscardHandler),
		Credentials: func() *certs.Credentials { return credentials },
	})
	require.NoError(t, err)
	cfg := nodes.DefaultConfig()
	cfg.Node, cfg.Cluster, cfg.Lineage, cfg.Version = "n1", "test", 1, "test"
	cfg.Listen, cfg.Address, cfg.Members = address, address, map[string]string{"n1": address}
	store := memstore.New()
	n, err := nodes.New(cfg, nodes.Deps{
		Network: network, Stores: raftwire.Stores{Log: store, Stable: store, Snapshots: store},
		Clocks: system.Clocks(), Rand: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler),
		Halt: func(reason string) { panic(reason) },
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-done)
		assert.NoError(t, network.Close())
	})

	dataDir = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dataDir, "client"), 0o700))
	for name, content := range map[string][]byte{
		"endpoints": []byte(address + "\n"), "ca.pem": root.Cert, "client.pem": operator.Cert, "client-key.pem": operator.Key,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dataDir, "client", name), content, 0o600))
	}
	return dataDir
}

// isolated keeps a test from finding the developer's own cluster.
func isolated(t *testing.T) {
	t.Helper()
	for _, name := range []string{lockstep.EnvEndpoints, lockstep.EnvCA, lockstep.EnvCert, lockstep.EnvKey, lockstep.EnvData} {
		t.Setenv(name, "")
	}
	t.Chdir(t.TempDir())
}

func TestOpenFindsItsCluster(t *testing.T) {
	isolated(t)
	dir := node(t)
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, "client", name))
		require.NoError(t, err)
		return b
	}
	endpoint := string(read("endpoints"))
	file := func(name string) string { return filepath.Join(dir, "client", name) }
	for name, open := range map[string]func(t *testing.T) (*lockstep.Client, error){
		"data directory by option": func(t *testing.T) (*lockstep.Client, error) {
			return lockstep.Open(t.Context(), nil, lockstep.WithDataDir(dir))
		},
		"data directory by environment": func(t *testing.T) (*lockstep.Client, error) {
			t.Setenv(lockstep.EnvData, dir)
			return lockstep.Open(t.Context(), nil)
		},
		"data directory by default": func(t *testing.T) (*lockstep.Client, error) {
			home := t.TempDir()
			t.Chdir(home)
			require.NoError(t, os.Symlink(dir, "data"))
			return lockstep.Open(t.Context(), nil)
		},
		"everything by environment": func(t *testing.T) (*lockstep.Client, error) {
			t.Setenv(lockstep.EnvEndpoints, " , "+endpoint)
			t.Setenv(lockstep.EnvCA, file("ca.pem"))
			t.Setenv(lockstep.EnvCert, file("client.pem"))
			t.Setenv(lockstep.EnvKey, file("client-key.pem"))
			return lockstep.Open(t.Context(), nil)
		},
		"files by option": func(t *testing.T) (*lockstep.Client, error) {
			return lockstep.Open(t.Context(), []string{endpoint},
				lockstep.WithTLSFiles(file("ca.pem"), file("client.pem"), file("client-key.pem")))
		},
		"bytes by option": func(t *testing.T) (*lockstep.Client, error) {
			return lockstep.Open(t.Context(), []string{endpoint},
				lockstep.WithTLS(read("ca.pem"), read("client.pem"), read("client-key.pem")),
				lockstep.WithCluster("test"), lockstep.WithAgent("test"), lockstep.WithConnections(2),
				lockstep.WithRequestTimeout(5*time.Second), lockstep.WithLogger(slog.New(slog.DiscardHandler)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := open(t)
			require.NoError(t, err)
			defer c.Close()
			session, err := c.NewSession(t.Context(), lockstep.TTL(10*time.Second), lockstep.Label(name))
			require.NoError(t, err)
			err = lockstep.Do(t.Context(), session.Lock("/a"), func(ctx context.Context, g *lockstep.Grant) error {
				assert.True(t, g.Held())
				return g.Validate(ctx)
			}, lockstep.WithWait(time.Second))
			require.NoError(t, err)
			require.NoError(t, session.End(t.Context()))
		})
	}
	t.Run("another cluster", func(t *testing.T) {
		_, err := lockstep.Open(t.Context(), nil, lockstep.WithDataDir(dir), lockstep.WithCluster("other"))
		require.ErrorIs(t, err, lockstep.ErrWrongCluster)
	})
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	isolated(t)
	for name, c := range map[string]struct {
		opts      []lockstep.Option
		endpoints []string
		prepare   func(t *testing.T)
		says      string
	}{
		"nothing is known": {says: "lockstepd dev"},
		"no certificates":  {endpoints: []string{"localhost:1"}, says: "ca.pem"},
		"only an authority": {
			endpoints: []string{"localhost:1"}, opts: []lockstep.Option{lockstep.WithTLSFiles("ca.pem", "", "")}, says: "all three files",
		},
		"no such files": {
			endpoints: []string{"localhost:1"}, opts: []lockstep.Option{lockstep.WithTLSFiles("no-ca", "no-cert", "no-key")}, says: "no-ca",
		},
		"no certificates at all": {
			endpoints: []string{"localhost:1"}, opts: []lockstep.Option{lockstep.WithTLS([]byte("x"), []byte("y"), []byte("z"))}, says: "certificates from the given bytes",
		},
		"a list without endpoints": {
			prepare: func(t *testing.T) {
				require.NoError(t, os.MkdirAll("data/client", 0o700))
				require.NoError(t, os.WriteFile("data/client/endpoints", []byte("\n,\n"), 0o600))
			},
			says: "names no endpoint",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if c.prepare != nil {
				c.prepare(t)
			}
			_, err := lockstep.Open(t.Context(), c.endpoints, c.opts...)
			require.ErrorIs(t, err, lockstep.ErrInvalid)
			assert.ErrorContains(t, err, c.says)
		})
	}
}

func TestOpenTellsThatNobodyAnswers(t *testing.T) {
	isolated(t)
	dir := node(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := lockstep.Open(ctx, []string{"127.0.0.1:9"}, lockstep.WithDataDir(dir))
	require.ErrorIs(t, err, lockstep.ErrUnavailable)
}

package raftwire_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/disk"
	"lockstep/nodes/peers"
	"lockstep/nodes/raftwire"
	"lockstep/transport/certs"
	"lockstep/transport/quic"
)

// BenchmarkCommit is three nodes with real disks (in TMPDIR) that talk QUIC over
// loopback: one entry at a time, as the proposer sends them, and for comparison
// several at a time.
func BenchmarkCommit(b *testing.B) {
	leader := startReal(b)
	for _, size := range []int{200, 5 << 10, 20 << 10} {
		b.Run(fmt.Sprintf("latency/%dB", size), func(b *testing.B) {
			data := make([]byte, size)
			took := make([]time.Duration, 0, b.N)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				begun := mono.Now()
				if _, _, err := leader.Propose(data).Wait(); err != nil {
					b.Fatal(err)
				}
				took = append(took, mono.Since(begun))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
		})
	}
	b.Run("eight at a time/20480B", func(b *testing.B) {
		data := make([]byte, 20<<10)
		b.SetBytes(int64(len(data)))
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, _, err := leader.Propose(data).Wait(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// idle is a machine that does nothing.
type idle struct{}

func (idle) Apply(index, _ uint64, _ []byte) any    { return index }
func (idle) NoteConfiguration(uint64)               {}
func (idle) Snapshot() (raftwire.Image, error)      { return nil, nil }
func (idle) Restore(_, _ uint64, _ io.Reader) error { return nil }

// startReal starts three nodes and returns the leader.
func startReal(b *testing.B) *raftwire.Raft {
	b.Helper()
	validity := certs.Validity{Now: mono.Now(), For: time.Hour}
	authority, err := certs.NewAuthority("c1", validity)
	require.NoError(b, err)
	pair, err := authority.Pair()
	require.NoError(b, err)
	var servers []raftwire.Server
	var nodes []*raftwire.Raft
	var managers []*peers.Manager
	addresses := make(map[string]string)
	for _, name := range []string{"n1", "n2", "n3"} {
		own, err := authority.IssueNode(name, []string{"127.0.0.1"}, validity)
		require.NoError(b, err)
		credentials, err := certs.Load(pair.Cert, own, mono.Now)
		require.NoError(b, err)
		network, err := quic.New(quic.DefaultConfig(), quic.Deps{
			Sockets:     func(address string) (net.PacketConn, error) { return quic.UDP(address) },
			Credentials: func() *certs.Credentials { return credentials }, Logger: logger(),
		})
		require.NoError(b, err)
		l, err := network.Listen("127.0.0.1:0")
		require.NoError(b, err)
		pcfg := peers.DefaultConfig()
		pcfg.Node, pcfg.Cluster, pcfg.Lineage = name, "c1", 1
		m, err := peers.New(pcfg, peers.Deps{
			Network: network, Clocks: clocksOf(), Rand: rand.New(rand.NewPCG(1, 1)), Logger: logger(),
			Welcome: func() *lockstepv1.Welcome { return nil },
		})
		require.NoError(b, err)
		dcfg := disk.DefaultConfig()
		dcfg.Directory, dcfg.Identity, dcfg.MinFree = b.TempDir(), disk.Identity{Cluster: "c1", Node: name}, 0
		d, err := disk.Open(dcfg, logger())
		require.NoError(b, err)
		cfg := raftwire.DefaultConfig()
		cfg.Node, cfg.Address = name, l.Addr()
		r, err := raftwire.Open(cfg, raftwire.Deps{
			Peers: m, Stores: d.Stores(), Machine: idle{}, Clocks: clocksOf(), Logger: logger(),
			Halt: func(reason string) { panic(reason) },
		})
		require.NoError(b, err)
		go m.Serve(context.Background(), l)
		b.Cleanup(func() {
			r.Shutdown(context.Background())
			m.Close()
			network.Close()
			d.Close()
		})
		addresses[name] = l.Addr()
		servers = append(servers, raftwire.Server{Node: name, Address: l.Addr(), Voter: true})
		nodes, managers = append(nodes, r), append(managers, m)
	}
	for _, m := range managers {
		m.SetMembers(addresses)
	}
	require.NoError(b, nodes[0].Bootstrap(servers))
	var leader *raftwire.Raft
	require.Eventually(b, func() bool {
		for _, r := range nodes {
			if _, _, err := r.Propose([]byte("x")).Wait(); err == nil {
				leader = r
				return true
			}
		}
		return false
	}, time.Minute, 10*time.Millisecond)
	return leader
}

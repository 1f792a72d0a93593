package raftwire_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/peers"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/raftwire/memstore"
	"lockstep/transport"
	"lockstep/transport/clocks"
	"lockstep/transport/clocks/system"
	"lockstep/transport/simnet"
)

// cluster is some nodes on a simulated network, in virtual time. What one of them
// applied at an index, all of them must have applied there.
type cluster struct {
	t     *testing.T
	net   *simnet.Net
	nodes map[string]*node
	tune  func(*raftwire.Config)
}

// node is one node; its disk outlives its process.
type node struct {
	name string
	c    *cluster
	host *simnet.Host
	// disk opens the stores at each start, and says how to close them.
	disk func() (raftwire.Stores, func())

	raft    *raftwire.Raft
	peers   *peers.Manager
	machine *machine
	end     func()
	halted  chan string
}

// inCluster runs f with size nodes that have just been started and bootstrapped.
func inCluster(t *testing.T, size int, f func(t *testing.T, c *cluster)) {
	t.Helper()
	inTunedCluster(t, size, nil, f)
}

func inTunedCluster(t *testing.T, size int, tune func(*raftwire.Config), f func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, size)
		c.tune = tune
		defer c.stopAll()
		c.startAll()
		f(t, c)
	})
}

func newCluster(t *testing.T, size int) *cluster {
	t.Helper()
	cfg := simnet.DefaultConfig()
	cfg.Latency = 200 * time.Microsecond
	c := &cluster{t: t, net: simnet.New(system.Clocks(), cfg), nodes: make(map[string]*node)}
	for i := range size {
		c.add(fmt.Sprintf("n%d", i+1))
	}
	return c
}

func (c *cluster) add(name string) *node {
	store := memstore.New()
	n := &node{name: name, c: c, host: c.net.Host(name, simnet.AsNode(name)), disk: func() (raftwire.Stores, func()) {
		return raftwire.Stores{Log: store, Stable: store, Snapshots: store}, func() {}
	}}
	c.nodes[name] = n
	return n
}

// members are the nodes there are, as the first configuration and for dialing.
func (c *cluster) members() (servers []raftwire.Server, addresses map[string]string) {
	addresses = make(map[string]string)
	for name := range c.nodes {
		servers = append(servers, raftwire.Server{Node: name, Address: name + ":1", Voter: true})
		addresses[name] = name + ":1"
	}
	slices.SortFunc(servers, func(a, b raftwire.Server) int { return len(a.Node) - len(b.Node) })
	return servers, addresses
}

func (c *cluster) startAll() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.start()
	}
	servers, _ := c.members()
	for _, n := range c.nodes {
		if err := n.raft.Bootstrap(servers); err != nil {
			require.ErrorIs(c.t, err, raftwire.ErrHasState)
		}
	}
}

func (c *cluster) stopAll() {
	for _, n := range c.nodes {
		n.stop()
	}
}

func (n *node) config() raftwire.Config {
	cfg := raftwire.DefaultConfig()
	cfg.Node, cfg.Address = n.name, n.name+":1"
	if n.c.tune != nil {
		n.c.tune(&cfg)
	}
	return cfg
}

// mono tells virtual time within a test in virtual time.
var mono = clockwork.NewRealClock()

// clocksOf are the machine's clocks, virtual within a test.
func clocksOf() clocks.Clocks { return system.Clocks() }

func logger() *slog.Logger {
	if os.Getenv("RAFTWIRE_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// start begins a life of the node.
func (n *node) start() {
	t := n.c.t
	t.Helper()
	clocks := clocksOf()
	log := logger().With("self", n.name)
	pcfg := peers.DefaultConfig()
	pcfg.Node, pcfg.Cluster, pcfg.Lineage = n.name, "c1", 1
	m, err := peers.New(pcfg, peers.Deps{
		Network: n.host, Clocks: clocks, Rand: rand.New(rand.NewPCG(1, uint64(len(n.name)))), Logger: log,
		Welcome: func() *lockstepv1.Welcome { return nil },
	})
	require.NoError(t, err)
	stores, closeStores := n.disk()
	halted := make(chan string, 64)
	machine := new(machine)
	r, err := raftwire.Open(n.config(), raftwire.Deps{
		Peers: m, Stores: stores, Machine: machine, Clocks: clocks, Logger: log,
		Halt: func(reason string) {
			halted <- reason
			runtime.Goexit()
		},
	})
	require.NoError(t, err)
	l, err := n.host.Listen(n.name + ":1")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		m.Serve(context.Background(), l)
	}()
	_, addresses := n.c.members()
	m.SetMembers(addresses)
	n.raft, n.peers, n.machine, n.halted = r, m, machine, halted
	n.end = func() {
		r.Shutdown(context.Background())
		m.Close()
		<-served
		closeStores()
	}
}

// stop ends the node's life in peace; twice does nothing.
func (n *node) stop() {
	if n.end != nil {
		n.end()
		n.end, n.raft = nil, nil
	}
}

// crash ends it without a word to the others.
func (n *node) crash() {
	n.c.net.Crash(n.name)
	n.stop()
}

func (c *cluster) up() []*node {
	var up []*node
	for _, n := range c.nodes {
		if n.raft != nil {
			up = append(up, n)
		}
	}
	slices.SortFunc(up, func(a, b *node) int { return len(a.name)*1000 + int(a.name[1]) - len(b.name)*1000 - int(b.name[1]) })
	return up
}

// until waits, in virtual time, for at most two minutes.
func (c *cluster) until(what string, condition func() bool) {
	c.t.Helper()
	for range 12000 {
		if condition() {
			return
		}
		pass(10 * time.Millisecond)
	}
	require.FailNow(c.t, "waited two minutes until "+what)
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-mono.After(d) }

// leader waits for a leader that a majority follows and that commits.
func (c *cluster) leader() *node {
	c.t.Helper()
	var found *node
	c.until("there is a leader", func() bool {
		for _, n := range c.up() {
			if !n.raft.Leading() {
				continue
			}
			if _, _, err := n.raft.Propose([]byte("lead")).Wait(); err == nil {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

func (c *cluster) follower() *node {
	c.t.Helper()
	leader := c.leader()
	for _, n := range c.up() {
		if n != leader {
			return n
		}
	}
	require.FailNow(c.t, "no follower")
	return nil
}

// propose commits data through whoever leads.
func (c *cluster) propose(data string) uint64 {
	c.t.Helper()
	for range 100 {
		if _, index, err := c.leader().raft.Propose([]byte(data)).Wait(); err == nil {
			return index
		}
	}
	require.FailNow(c.t, "could not propose")
	return 0
}

// agreed waits until all running nodes have applied index, then compares them.
func (c *cluster) agreed(index uint64) {
	c.t.Helper()
	for _, n := range c.up() {
		c.until(fmt.Sprintf("%s has applied %d", n.name, index), func() bool { return n.machine.last() >= index })
	}
	seen := make(map[uint64]entry)
	for _, n := range c.up() {
		for _, e := range n.machine.state().Entries {
			if other, ok := seen[e.Index]; ok {
				require.Equal(c.t, other, e, "%s applied something else at %d", n.name, e.Index)
			}
			seen[e.Index] = e
		}
	}
}

// isolate cuts a node off.
func (c *cluster) isolate(alone *node) {
	for name := range c.nodes {
		if name != alone.name {
			c.net.Partition(alone.name, name)
		}
	}
}

// machine remembers everything it applied.
type machine struct {
	mu       sync.Mutex
	now      state
	restores int
}

type state struct {
	Last    uint64
	Entries []entry
	Notes   int
}

type entry struct {
	Index, Term uint64
	Data        string
}

func (m *machine) Apply(index, term uint64, data []byte) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(index)
	m.now.Entries = append(m.now.Entries, entry{index, term, string(data)})
	return "applied " + string(data)
}

func (m *machine) NoteConfiguration(index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(index)
	m.now.Notes++
}

func (m *machine) advance(index uint64) {
	if index <= m.now.Last {
		panic(fmt.Sprintf("index %d after %d", index, m.now.Last))
	}
	m.now.Last = index
}

func (m *machine) Snapshot() (raftwire.Image, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// Entries are only appended to: what this slice shows never changes.
	return image(m.now), nil
}

func (m *machine) Restore(index, _ uint64, r io.Reader) error {
	var restored state
	if err := json.NewDecoder(r).Decode(&restored); err != nil {
		return err
	}
	if restored.Last > index {
		return fmt.Errorf("image of %d in a snapshot of %d", restored.Last, index)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if index < m.now.Last {
		panic(fmt.Sprintf("moved back from %d to %d", m.now.Last, index))
	}
	m.now = restored
	m.restores++
	return nil
}

func (m *machine) state() state {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *machine) last() uint64 { return m.state().Last }

func (m *machine) has(data string) bool {
	return slices.ContainsFunc(m.state().Entries, func(e entry) bool { return e.Data == data })
}

type image state

func (i image) WriteSnapshot(w io.Writer) error { return json.NewEncoder(w).Encode(i) }

var _ raftwire.Peers = (*peers.Manager)(nil)

// speak opens a raft stream from one node to another and sends frames on it.
func (n *node) speak(to string, purpose transport.Purpose, frames ...[]byte) *peers.Outbound {
	t := n.c.t
	t.Helper()
	out, err := n.peers.Open(t.Context(), to, lockstepv1.Hello_KIND_PEER, purpose, nil)
	require.NoError(t, err)
	for _, frame := range frames {
		_, err := out.Stream.Write(transport.AppendFrame(nil, frame))
		require.NoError(t, err)
	}
	return out
}

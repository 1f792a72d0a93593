package nodestest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lockstep/nodes"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/raftwire/memstore"
	"lockstep/transport"
	"lockstep/transport/clocks"
	"lockstep/transport/clocks/system"
	"lockstep/transport/simnet"
)

// Name is the id of every cluster of this package, Lineage its lineage.
const (
	Name    = "test"
	Lineage = 1
)

const (
	// poll is how often a condition is looked at.
	poll = 5 * time.Millisecond
	// patience is how long a condition may take, on the cluster's clock.
	patience = time.Minute
)

// Config says what cluster is wanted; the zero Config is one of three nodes.
type Config struct {
	// Nodes is how many there are; 0: three. They are called n1, n2, ...
	Nodes int
	// Tune changes the configuration of each node before each start; may be nil.
	Tune func(*nodes.Config)
	// Latency of the network, one way.
	Latency time.Duration
	// Seed of the nodes' randomness.
	Seed uint64
	// Halts are allowed and only recorded; else one fails the test.
	Halts bool
}

// Cluster is some nodes and the network between them. Its methods may be called
// from the test's goroutine.
type Cluster struct {
	t      testing.TB
	cfg    Config
	clocks clocks.Clocks
	net    *simnet.Net
	rand   *rand.Rand
	nodes  map[string]*member
	hosts  int

	mu    sync.Mutex
	halts []string
}

// member is one node: its host and disk outlive its processes.
type member struct {
	name  string
	host  *simnet.Host
	store *memstore.Store

	// Of the present process; nil while there is none.
	node *nodes.Node
	stop context.CancelCauseFunc
	done chan error
}

// Start starts a cluster. Within testing/synctest it must be stopped before the
// bubble ends: call Stop; elsewhere the end of the test does.
func Start(tb testing.TB, cfg Config) *Cluster {
	tb.Helper()
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	network := simnet.DefaultConfig()
	network.Latency = cfg.Latency
	c := &Cluster{
		t: tb, cfg: cfg, clocks: system.Clocks(), nodes: make(map[string]*member),
		rand: rand.New(rand.NewPCG(cfg.Seed, 0)),
	}
	c.net = simnet.New(c.clocks, network)
	for i := range cfg.Nodes {
		name := fmt.Sprintf("n%d", i+1)
		c.nodes[name] = &member{name: name, host: c.net.Host(name, simnet.AsNode(name)), store: memstore.New()}
	}
	tb.Cleanup(c.Stop)
	for _, name := range c.Names() {
		c.Restart(name)
	}
	return c
}

// Net is the network, to strike it with faults.
func (c *Cluster) Net() *simnet.Net { return c.net }

// Clocks are the clocks of all nodes, for clients to use too.
func (c *Cluster) Clocks() clocks.Clocks { return c.clocks }

// Names are all nodes' ids, in order.
func (c *Cluster) Names() []string { return slices.Sorted(maps.Keys(c.nodes)) }

// Address is where a node listens.
func (c *Cluster) Address(name string) string { return name + ":1" }

// Addresses are where all nodes listen.
func (c *Cluster) Addresses() []string {
	var addresses []string
	for _, name := range c.Names() {
		addresses = append(addresses, c.Address(name))
	}
	return addresses
}

// Node is a node's present process, or nil if it has none.
func (c *Cluster) Node(name string) *nodes.Node { return c.nodes[name].node }

// Store is a node's disk.
func (c *Cluster) Store(name string) *memstore.Store { return c.nodes[name].store }

// Client is the network as a client of this principal has it, on a host of its
// own, whose name is returned too.
func (c *Cluster) Client(principal string) (network transport.Network, host string) {
	c.hosts++
	host = fmt.Sprintf("client-%d", c.hosts)
	return c.net.Host(host, simnet.AsClient(principal)), host
}

// Halts are the reasons for which nodes have halted.
func (c *Cluster) Halts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.halts)
}

// Restart starts a node that does not run, with what its disk holds.
func (c *Cluster) Restart(name string) {
	c.t.Helper()
	m := c.nodes[name]
	require.Nil(c.t, m.node, "node %s runs", name)
	node, err := nodes.New(c.config(name), c.deps(m))
	require.NoError(c.t, err)
	ctx, stop := context.WithCancelCause(context.Background())
	m.node, m.stop, m.done = node, stop, make(chan error, 1)
	go func() { m.done <- node.Run(ctx) }()
}

func (c *Cluster) config(name string) nodes.Config {
	cfg := nodes.DefaultConfig()
	cfg.Node, cfg.Cluster, cfg.Lineage, cfg.Version = name, Name, Lineage, "test"
	cfg.Listen, cfg.Address = c.Address(name), c.Address(name)
	cfg.Members = make(map[string]string)
	for _, member := range c.Names() {
		cfg.Members[member] = c.Address(member)
	}
	if c.cfg.Tune != nil {
		c.cfg.Tune(&cfg)
	}
	return cfg
}

func (c *Cluster) deps(m *member) nodes.Deps {
	return nodes.Deps{
		Network: m.host,
		Stores:  raftwire.Stores{Log: m.store, Stable: m.store, Snapshots: m.store},
		Clocks:  c.clocks,
		Rand:    rand.New(rand.NewPCG(c.rand.Uint64(), c.rand.Uint64())),
		Logger:  logger().With("node", m.name),
		Halt: func(reason string) {
			c.mu.Lock()
			c.halts = append(c.halts, m.name+": "+reason)
			c.mu.Unlock()
			if !c.cfg.Halts {
				c.t.Errorf("node %s halted: %s", m.name, reason)
			}
			runtime.Goexit()
		},
	}
}

// logger writes to standard error if NODES_TEST_LOG is set.
func logger() *slog.Logger {
	if os.Getenv("NODES_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Crash kills a node: nothing it says from now on reaches anybody, and it hands
// nothing over. Its disk stays.
func (c *Cluster) Crash(name string) {
	c.t.Helper()
	c.net.Crash(name)
	c.end(name, nodes.ErrAtOnce)
}

// Shutdown stops a node cleanly.
func (c *Cluster) Shutdown(name string) {
	c.t.Helper()
	c.end(name, context.Canceled)
}

func (c *Cluster) end(name string, cause error) {
	c.t.Helper()
	m := c.nodes[name]
	if m.node == nil {
		return
	}
	m.stop(cause)
	if err := <-m.done; err != nil && len(c.Halts()) == 0 {
		c.t.Errorf("node %s: %v", name, err)
	}
	m.node, m.stop, m.done = nil, nil, nil
}

// Stop ends all nodes that run, and the connections of all clients.
func (c *Cluster) Stop() {
	for i := range c.hosts {
		c.net.Crash(fmt.Sprintf("client-%d", i+1))
	}
	for _, name := range c.Names() {
		c.Crash(name)
	}
}

// Isolate cuts a node off from all other nodes; clients still reach it.
func (c *Cluster) Isolate(name string) {
	for _, other := range c.Names() {
		if other != name {
			c.net.Partition(name, other)
		}
	}
}

// Leader waits until a node has taken office that a majority of the nodes that
// run follow, and returns its name.
func (c *Cluster) Leader() string {
	c.t.Helper()
	var leader string
	c.Await("a leader in office", func() bool {
		leader = c.Leading()
		return leader != ""
	})
	return leader
}

// Leading is the node in office in the latest term, or none.
func (c *Cluster) Leading() string {
	var leader string
	var term uint64
	for _, name := range c.Names() {
		node := c.Node(name)
		if node == nil {
			continue
		}
		if stats := node.Stats(); stats.Serving && stats.Raft.Term > term {
			leader, term = name, stats.Raft.Term
		}
	}
	return leader
}

// Followers are the nodes that run, but the leader.
func (c *Cluster) Followers() []string {
	leader := c.Leader()
	return slices.DeleteFunc(c.Names(), func(name string) bool { return name == leader || c.Node(name) == nil })
}

// Await waits until a condition holds, in the cluster's time.
func (c *Cluster) Await(what string, condition func() bool) {
	c.t.Helper()
	give := c.clocks.Mono.Now().Add(patience)
	for !condition() {
		require.True(c.t, c.clocks.Mono.Now().Before(give), "waited too long for %s", what)
		<-c.clocks.Mono.After(poll)
	}
}

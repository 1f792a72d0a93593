//go:build unix

package harness

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lockstep"
	"lockstep/cmd/lockstepd/dev"
)

const (
	// patience bounds every wait for a cluster to come into a state.
	patience = 30 * time.Second
	// statusPatience is how long one node may take to answer: without a quorum it
	// looks for one first.
	statusPatience = 4 * time.Second
	// pollInterval is how often a condition is looked at.
	pollInterval = 20 * time.Millisecond
)

// Options shape a cluster.
type Options struct {
	// Nodes is its size; 0: three.
	Nodes int
	// Proxied puts a proxy before each node, through which all traffic to it goes.
	Proxied bool
	// Serve are further arguments of each node.
	Serve []string
	// Before is called before the nodes start.
	Before func(*Cluster)
}

// Cluster is a cluster of real nodes below a temporary directory.
type Cluster struct {
	Data    string
	Nodes   []*Node
	options Options
	// status asks the nodes; its client holds no session.
	status *lockstep.Client
}

// Node is one node of a cluster.
type Node struct {
	Name string
	// Address is where the others reach it: its proxy's, if it has one.
	Address string
	// Admin is the address of its admin HTTP.
	Admin string
	// Proxy is nil unless Options.Proxied.
	Proxy *Proxy
	// Process is the running node, or the last one that ran.
	Process *Process

	config string
	args   []string
}

// StartCluster starts a cluster and waits until it is healthy.
func StartCluster(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	c := &Cluster{Data: t.TempDir(), options: o}
	layout, plan, err := dev.Prepare(dev.Config{Data: c.Data, Nodes: o.Nodes, Ports: Ports()})
	require.NoError(t, err)
	for _, m := range plan.Members {
		n := &Node{Name: m.Node, Address: m.Address, Admin: m.Admin, config: layout.Config(m.Node), args: o.Serve}
		if o.Proxied {
			behind := FreeUDP(t)
			n.Proxy = StartProxy(t, m.Address, behind)
			n.args = append([]string{"--listen", behind, "--advertise", m.Address}, o.Serve...)
		}
		c.Nodes = append(c.Nodes, n)
	}
	t.Cleanup(func() { c.dump(t) })
	if o.Before != nil {
		o.Before(c)
	}
	for _, n := range c.Nodes {
		n.Start(t)
	}
	c.status = c.Client(t)
	c.WaitLeader(t)
	c.WaitServing(t, c.Nodes...)
	return c
}

// Ports is a place to look for free ports: below those that the system gives to
// clients, which might take a node's while it is down, and anywhere there, so
// that others who test on this machine look elsewhere.
func Ports() dev.Ports {
	return dev.Ports{UDP: 10_000 + rand.IntN(20_000), TCP: 10_000 + rand.IntN(20_000)}
}

// FreeUDP is an address on loopback whose UDP port is free now.
func FreeUDP(t testing.TB) string {
	t.Helper()
	for range 100 {
		if conn, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(Ports().UDP))); err == nil {
			defer conn.Close()
			return conn.LocalAddr().String()
		}
	}
	require.Fail(t, "no free UDP port")
	return ""
}

// dump shows what the nodes printed last when the test failed.
func (c *Cluster) dump(t testing.TB) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, n := range c.Nodes {
		if n.Process == nil {
			continue
		}
		lines := n.Process.Lines()
		lines = lines[max(0, len(lines)-60):]
		t.Logf("last lines of %s:\n%s", n.Name, strings.Join(lines, "\n"))
	}
}

// Start starts the node's process; it does not wait for anything.
func (n *Node) Start(t testing.TB) {
	t.Helper()
	n.Process = Start(t, Command{
		Path: Binary(t, "lockstepd"),
		Args: append([]string{"serve", "--config", n.config}, n.args...),
	})
}

// Kill kills the node with -9.
func (n *Node) Kill(t testing.TB) {
	t.Helper()
	n.Process.Kill(t)
}

// Stop stops the node cleanly and returns its exit code.
func (n *Node) Stop(t testing.TB) int {
	t.Helper()
	n.Process.Signal(t, syscall.SIGTERM)
	return n.Process.Wait(t)
}

// Client opens a client of the cluster and closes it at the end of the test.
// Further options go over those that find the cluster.
func (c *Cluster) Client(t testing.TB, options ...lockstep.Option) *lockstep.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opened, err := lockstep.Open(ctx, nil, append([]lockstep.Option{lockstep.WithDataDir(c.Data)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

// Status asks one node; nil: it does not answer.
func (c *Cluster) Status(n *Node) *lockstep.Status {
	ctx, cancel := context.WithTimeout(context.Background(), statusPatience)
	defer cancel()
	s, err := c.status.Status(ctx, n.Address)
	if err != nil {
		return nil
	}
	return &s
}

// Leader is the node that serves with a quorum in the highest term, or nil.
func (c *Cluster) Leader() *Node {
	var leader *Node
	var term uint64
	for _, n := range c.Nodes {
		if n.Process.Ended() {
			continue
		}
		if s := c.Status(n); s != nil && s.Serving && s.Quorum && s.Term >= term {
			leader, term = n, s.Term
		}
	}
	return leader
}

// WaitLeader waits until there is a leader with a quorum.
func (c *Cluster) WaitLeader(t testing.TB) *Node {
	t.Helper()
	var leader *Node
	Eventually(t, "a leader with a quorum", func() bool {
		leader = c.Leader()
		return leader != nil
	})
	return leader
}

// WaitServing waits until the nodes answer and have caught up with the leader.
func (c *Cluster) WaitServing(t testing.TB, nodes ...*Node) {
	t.Helper()
	for _, n := range nodes {
		Eventually(t, n.Name+" to catch up", func() bool {
			leader := c.Leader()
			if leader == nil {
				return false
			}
			at, of := c.Status(n), c.Status(leader)
			return at != nil && of != nil && at.Position.Index+8 >= of.Position.Index && at.Term == of.Term
		})
	}
}

// Followers are the running nodes but the leader.
func (c *Cluster) Followers(leader *Node) []*Node {
	var others []*Node
	for _, n := range c.Nodes {
		if n != leader && !n.Process.Ended() {
			others = append(others, n)
		}
	}
	return others
}

// CLI runs the command line on the cluster and returns the running process.
func (c *Cluster) CLI(t testing.TB, args ...string) *Process {
	t.Helper()
	return Start(t, Command{Path: Binary(t, "lockstep"), Args: args, Env: []string{"LOCKSTEP_DATA=" + c.Data}})
}

// Run runs the command line to its end.
func (c *Cluster) Run(t testing.TB, args ...string) (code int, output string) {
	t.Helper()
	p := c.CLI(t, args...)
	code = p.Wait(t)
	return code, p.Output()
}

// Eventually waits for a condition by looking at it again and again.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, pollInterval, "waited in vain for %s", what)
}

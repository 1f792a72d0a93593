package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/peers"
	"lockstep/nodes/questions"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/replica"
	"lockstep/nodes/serve"
	"lockstep/nodes/tenure"
	"lockstep/nodes/watch"
	"lockstep/transport"
	"lockstep/transport/clocks"
)

// Deps is what a Node is given; all fields are required.
type Deps struct {
	Network transport.Network
	// Stores are this node's own, open, and used by nobody else. They stay open.
	Stores raftwire.Stores
	Clocks clocks.Clocks
	// Rand is used by the node alone, while New runs.
	Rand   *rand.Rand
	Logger *slog.Logger
	// Halt stops the process at once, because going on would be wrong: a store
	// failed, or the log holds what this program cannot apply. It does not return.
	Halt func(reason string)
}

// Node is one server. Its methods may be called from any goroutine.
type Node struct {
	cfg  Config
	deps Deps

	replica *replica.Replica
	hub     *watch.Hub
	office  *tenure.Office
	peers   *peers.Manager
	asker   *questions.Asker
	server  *serve.Server
	// raft is set when Run has opened it.
	raft atomic.Pointer[raftwire.Raft]
	// running is set while streams are served.
	running atomic.Bool

	// lifetime ends when Run has stopped everything.
	lifetime context.Context
	end      context.CancelFunc
}

// New puts a node together. It opens nothing: Run does.
func New(cfg Config, deps Deps) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := deps.validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, deps: deps}
	n.lifetime, n.end = context.WithCancel(context.Background())
	if err := n.build(); err != nil {
		n.end()
		return nil, err
	}
	return n, nil
}

func (d Deps) validate() error {
	if d.Network == nil || d.Stores.Log == nil || d.Stores.Stable == nil || d.Stores.Snapshots == nil ||
		d.Clocks.Mono == nil || d.Clocks.Boot == nil || d.Clocks.Wall == nil || d.Rand == nil || d.Logger == nil || d.Halt == nil {
		return errors.New("nodes: a dependency is missing")
	}
	return nil
}

// build makes the rooms. The order of the sinks is the order in which they hear
// of an entry: a tenure begins before anybody is told of what the entry did.
func (n *Node) build() error {
	cfg, deps := n.cfg, n.deps
	var err error
	if n.replica, err = replica.New(cfg.engine(), deps.Logger, deps.Halt); err != nil {
		return err
	}
	if n.peers, err = peers.New(cfg.peers(), peers.Deps{
		Network: deps.Network, Clocks: deps.Clocks, Rand: deps.Rand, Logger: deps.Logger,
		Welcome: func() *lockstepv1.Welcome { return n.server.Welcome() },
	}); err != nil {
		return err
	}
	n.office = tenure.New(cfg.Node, cfg.batches(), cfg.rounds(), tenure.Deps{
		Electorate: electorate{n}, Clocks: deps.Clocks, Logger: deps.Logger,
		Changed: func() { n.server.TenureChanged() },
	})
	n.replica.Subscribe(n.office)
	n.server = serve.New(serve.Deps{
		Identity: serve.Identity{Node: cfg.Node, Cluster: cfg.Cluster, Version: cfg.Version, Lineage: cfg.Lineage},
		Limits:   cfg.Limits, Replica: n.replica, Office: n.office, Peers: n.peers,
		Clocks: deps.Clocks, Logger: deps.Logger, RelayBase: deps.Rand.Uint64() >> 1,
	})
	if n.hub, err = watch.New(cfg.watches()); err != nil {
		return err
	}
	n.replica.Subscribe(n.hub)
	n.peers.Handle(lockstepv1.Hello_KIND_CLIENT, transport.PurposeWatch, n.serveWatches)
	n.asker = questions.New(n.lifetime, n.peers, n.server, deps.Logger)
	return nil
}

func (n *Node) serveWatches(ctx context.Context, in *peers.Inbound) {
	n.hub.Serve(ctx, watch.Deps{Source: n.replica, Clock: n.deps.Clocks.Mono, Node: n.cfg.Node}, in.Stream, in.Frames)
}

// Healthy tells whether the node runs and takes part in Raft.
func (n *Node) Healthy() error {
	raft := n.raft.Load()
	if raft == nil || !n.running.Load() || raft.Stats().State == raftwire.Stopped {
		return ErrStopping
	}
	return nil
}

// Ready tells whether the node can serve clients: it leads and has taken office,
// or knows a leader to relay to.
func (n *Node) Ready() error {
	if err := n.Healthy(); err != nil {
		return err
	}
	leader, _ := n.raft.Load().Leader()
	switch {
	case leader == "":
		return ErrNoLeader
	case leader == n.cfg.Node && n.office.Current() == nil:
		return fmt.Errorf("%w: %s was elected and is taking office", ErrNoLeader, n.cfg.Node)
	default:
		return nil
	}
}

// Status is what the node knows of itself and of the cluster.
func (n *Node) Status() *lockstepv1.Status {
	if n.raft.Load() == nil {
		return &lockstepv1.Status{
			Node: n.cfg.Node, Version: n.cfg.Version, Cluster: n.cfg.Cluster, Lineage: n.cfg.Lineage, Role: raftwire.Stopped.String(),
		}
	}
	return n.server.Status()
}

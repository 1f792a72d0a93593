package raftwire

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// Raft is a running Raft node. All methods may be called from any goroutine.
type Raft struct {
	cfg       Config
	deps      Deps
	raft      *raft.Raft
	transport *Transport
	fsm       *fsm
	log       *logStore
	stable    *stableStore
	snapshots *snapshotStore
	transfers *transfers
	pending   pending
	changes   chan struct{}
	// stopped ends the goroutine that looks at Raft's observations.
	stopped  chan struct{}
	stopOnce sync.Once

	counts struct{ proposals, refused atomic.Uint64 }
}

// Open wires the stores and the transport and starts Raft. It returns when the
// node's term, vote, snapshot and log have been loaded. Errors: those of Config,
// ErrGap, and damage to term or vote.
func Open(cfg Config, deps Deps) (*Raft, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := deps.validate(); err != nil {
		return nil, err
	}
	g := &guard{clock: deps.Clocks.Mono, deadline: cfg.WriteDeadline, halt: deps.Halt}
	r := &Raft{
		cfg: cfg, deps: deps,
		fsm:       &fsm{machine: deps.Machine, guard: g},
		log:       newLogStore(deps.Stores.Log, g),
		transfers: &transfers{clock: deps.Clocks.Mono, bound: cfg.TransferBound, guard: g},
		changes:   make(chan struct{}, 1),
		stopped:   make(chan struct{}),
	}
	var err error
	if r.stable, err = openStable(deps.Stores.Stable, g); err != nil {
		return nil, err
	}
	if r.snapshots, err = openSnapshots(deps.Stores.Snapshots, g); err != nil {
		return nil, err
	}
	r.fsm.snapshots = r.snapshots
	if err := joinLog(r.log, r.snapshots.newest(), deps.Logger); err != nil {
		return nil, err
	}
	r.transport = newTransport(cfg, deps, &gate{
		consumer: make(chan raft.RPC), log: r.log, snapshots: r.snapshots, stable: r.stable, guard: g,
		clock:    deps.Clocks.Mono,
		patience: patience{call: cfg.CallTimeout, appends: cfg.AppendTimeout, install: cfg.RestoreTimeout},
		repeats:  repeats{bound: cfg.MaxInstalls},
	})
	if r.raft, err = raft.NewRaft(cfg.raft(deps), r.fsm, r.log, r.stable, r.snapshots, r.transport); err != nil {
		r.transport.Close()
		return nil, fmt.Errorf("raftwire: %w", err)
	}
	r.observe()
	return r, nil
}

func (d Deps) validate() error {
	if d.Peers == nil || d.Stores.Log == nil || d.Stores.Stable == nil || d.Stores.Snapshots == nil ||
		d.Machine == nil || d.Clocks.Mono == nil || d.Logger == nil || d.Halt == nil {
		return errors.New("raftwire: a dependency is missing")
	}
	return nil
}

// raft is the library's configuration.
func (c Config) raft(deps Deps) *raft.Config {
	return &raft.Config{
		ProtocolVersion:    raft.ProtocolVersionMax,
		LocalID:            raft.ServerID(c.Node),
		HeartbeatTimeout:   c.HeartbeatTimeout,
		ElectionTimeout:    c.ElectionTimeout,
		LeaderLeaseTimeout: c.LeaderLease,
		CommitTimeout:      c.CommitTimeout,
		MaxAppendEntries:   c.MaxAppendEntries,
		SnapshotThreshold:  c.SnapshotThreshold,
		SnapshotInterval:   c.SnapshotInterval,
		TrailingLogs:       c.TrailingLogs,
		Logger:             NewLogger(deps.Logger, deps.Clocks.Mono),
		NoLegacyTelemetry:  true,
	}
}

// observe turns Raft's observations into hints and log lines.
func (r *Raft) observe() {
	seen := make(chan raft.Observation, observations)
	r.raft.RegisterObserver(raft.NewObserver(seen, false /* blocking */, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.RaftState, raft.LeaderObservation:
			return true
		}
		return false
	}))
	go func() {
		var leader string
		for {
			select {
			case <-seen:
				if now, _ := r.Leader(); now != leader {
					leader = now
					r.deps.Logger.Info("leader changed", "leader", leader, "term", r.Term())
				}
				select {
				case r.changes <- struct{}{}:
				default:
				}
			case <-r.stopped:
				return
			}
		}
	}()
}

// Term is the node's current term; it was durable before this returns it.
func (r *Raft) Term() uint64 { return r.raft.CurrentTerm() }

// Leading tells whether Raft believes to be leader: a hint, see package tenure.
func (r *Raft) Leading() bool { return r.raft.State() == raft.Leader }

// Leader is who this node believes leads; empty when it knows of none. The
// address is empty if the latest configuration does not have that node.
func (r *Raft) Leader() (node, address string) {
	_, id := r.raft.LeaderWithID()
	if id == "" {
		return "", ""
	}
	for _, s := range r.Members() {
		if s.Node == string(id) {
			return s.Node, s.Address
		}
	}
	return string(id), ""
}

// LeaderChanges gets a value after each change of Leading or Leader; values that
// are not read are merged into one.
func (r *Raft) LeaderChanges() <-chan struct{} { return r.changes }

// CommitIndex is the index up to which this node knows entries to be committed.
func (r *Raft) CommitIndex() uint64 { return r.raft.CommitIndex() }

// Snapshot takes a snapshot now. ErrNothingNew: the last one is as good.
func (r *Raft) Snapshot(ctx context.Context) error {
	return r.ask(ctx, func() raft.Future { return r.raft.Snapshot() })
}

// Shutdown stops Raft and its transport; it returns when both have ended or ctx
// does. The stores stay open: they are the caller's.
func (r *Raft) Shutdown(ctx context.Context) error {
	r.stopOnce.Do(func() { close(r.stopped) })
	r.transport.Close()
	ended := make(chan error, 1)
	future := r.raft.Shutdown()
	go func() { ended <- future.Error() }()
	defer r.pending.close()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask waits for a future, but not longer than ctx.
func (r *Raft) ask(ctx context.Context, begin func() raft.Future) error {
	ended := make(chan error, 1)
	go func() { ended <- begin().Error() }()
	select {
	case err := <-ended:
		return askError(err)
	case <-r.stopped:
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	}
}

func askError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	case errors.Is(err, raft.ErrLeadershipLost):
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	case errors.Is(err, raft.ErrRaftShutdown):
		return ErrStopped
	case errors.Is(err, raft.ErrNothingNewToSnapshot):
		return ErrNothingNew
	case errors.Is(err, raft.ErrCantBootstrap):
		return ErrHasState
	default:
		return fmt.Errorf("raftwire: %w", err)
	}
}

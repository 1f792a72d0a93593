package tenure

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"lockstep/engine"
	"lockstep/nodes/confirm"
	"lockstep/nodes/lease"
	"lockstep/nodes/propose"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/replica"
	"lockstep/transport/clocks"
)

// lookEvery is how often Raft's term and role are looked at, beside its hints.
const lookEvery = 50 * time.Millisecond

// Raft is what an Office needs of Raft.
type Raft interface {
	propose.Raft
	Term() uint64
	Leading() bool
	LeaderChanges() <-chan struct{}
}

// Deps is what an Office is given; all fields are required.
type Deps struct {
	// Electorate is asked in confirmation rounds.
	Electorate confirm.Electorate
	Clocks     clocks.Clocks
	Logger     *slog.Logger
	// Changed is called after a tenure has begun or ended; it must be quick.
	Changed func()
}

// Office takes office when Raft elects this node and leaves it when the term
// moves. All methods may be called from any goroutine.
type Office struct {
	node    string
	propose propose.Config
	confirm confirm.Config
	deps    Deps
	clocks  clocks.Clocks
	raft    atomic.Pointer[Raft] // nil until Run
	current atomic.Pointer[Tenure]
	// asked is the term for which TakeOffice was proposed last; 0: none, or in vain.
	asked atomic.Uint64
	// ended is set when Run has: no tenure may begin after that, since nobody would
	// end it.
	ended atomic.Bool
}

var _ replica.Sink = (*Office)(nil)

// New returns the office of node. It must subscribe to the replica before Raft is
// opened; Run begins its work.
func New(node string, proposing propose.Config, confirming confirm.Config, deps Deps) *Office {
	return &Office{node: node, propose: proposing, confirm: confirming, deps: deps, clocks: deps.Clocks}
}

// Current is the running tenure, or nil.
func (o *Office) Current() *Tenure {
	t := o.current.Load()
	if t == nil || !t.Valid() {
		return nil
	}
	return t
}

// Run watches Raft and takes office when elected, until ctx ends. It must run once.
func (o *Office) Run(ctx context.Context, raft Raft) {
	o.raft.Store(&raft)
	ticker := o.clocks.Mono.NewTicker(lookEvery)
	defer ticker.Stop()
	defer func() {
		o.ended.Store(true)
		if t := o.current.Load(); t != nil {
			o.leave(t)
		}
	}()
	for {
		o.look(raft)
		select {
		case <-ctx.Done():
			return
		case <-raft.LeaderChanges():
		case <-ticker.Chan():
		}
	}
}

func (o *Office) look(raft Raft) {
	if t := o.current.Load(); t != nil && !t.Valid() {
		o.leave(t)
	}
	term := raft.Term()
	if !raft.Leading() || term == o.asked.Load() {
		return
	}
	o.asked.Store(term)
	command := &engine.TakeOffice{Node: o.node, Term: term}
	proposal := raft.Propose(replica.AppendEntry(nil, 0 /* no stamp */, engine.Batch{Commands: []engine.Command{command}}))
	go o.await(proposal, term)
}

// await lets TakeOffice be proposed again if it was in vain and the term stands;
// the tenure begins where it is applied. Twice in a term would only begin the
// tenure anew.
func (o *Office) await(proposal *raftwire.Proposal, term uint64) {
	if _, _, err := proposal.Wait(); err != nil {
		o.deps.Logger.Info("not in office", "term", term, "reason", err)
		o.asked.CompareAndSwap(term, 0)
	}
}

func (o *Office) leave(t *Tenure) {
	t.close()
	if o.current.CompareAndSwap(t, nil) {
		o.deps.Changed()
	}
}

// Applied implements replica.Sink: a tenure begins when this node's own engine
// applies its TakeOffice in an entry of the same term.
func (o *Office) Applied(e *engine.Engine, a *replica.Applied) {
	events := a.Outcome.Events
	raft := o.raft.Load()
	for i := range events {
		ev := &events[i]
		if ev.Kind == engine.EventTenureBegan && ev.Name == o.node && ev.Term == a.Entry.Term &&
			raft != nil && (*raft).Term() == ev.Term {
			o.begin(e, *raft, ev.Term)
		}
	}
	if t := o.current.Load(); t != nil {
		t.follow(e, events)
	}
}

// Restored implements replica.Sink. A leader never restores: whoever does has
// been deposed.
func (o *Office) Restored(*engine.Engine) {}

func (o *Office) begin(e *engine.Engine, raft Raft, term uint64) {
	if old := o.current.Load(); old != nil {
		old.close()
	}
	t := &Tenure{
		office: o, raft: raft, term: term, began: e.Time(), origin: o.clocks.Mono.Now(),
		logger: o.deps.Logger, wake: make(chan struct{}, 1), end: make(chan struct{}),
	}
	var seeds []lease.Seed
	for s := range e.Sessions() {
		if s.State != engine.SessionExpired {
			seeds = append(seeds, lease.Seed{Session: s.ID, TTL: s.TTL, Silence: s.Silence})
		}
	}
	t.leases = lease.New(0, seeds)
	t.rounds = confirm.New(o.confirm, o.node, term, o.deps.Electorate, o.clocks.Mono)
	t.proposer = propose.New(o.propose, raft, t, term, o.clocks.Mono)
	o.current.Store(t)
	go t.watchDeadlines()
	o.deps.Logger.Info("in office", "term", term, "sessions", len(seeds))
	o.deps.Changed()
	if o.ended.Load() { // Run may have looked before the tenure was there
		o.leave(t)
	}
}

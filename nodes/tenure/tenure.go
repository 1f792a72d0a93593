package tenure

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/engine"
	"lockstep/nodes/confirm"
	"lockstep/nodes/lease"
	"lockstep/nodes/propose"
)

// ErrOver is what is answered to whatever needs a tenure that has ended.
var ErrOver = errors.New("tenure: over")

// Tenure is one term of office of this node, from the moment its own engine
// applied TakeOffice. All methods may be called from any goroutine.
type Tenure struct {
	office *Office
	raft   Raft
	term   uint64
	// began is the log time at which it began, origin the same on Mono.
	began  engine.LogTime
	origin time.Time

	proposer *propose.Proposer
	rounds   *confirm.Rounds
	logger   *slog.Logger

	over atomic.Bool
	wake chan struct{} // holds one signal that the next deadline may be nearer
	end  chan struct{}

	// mu is held from a decision of the table until it is in the proposer's queue,
	// so that the log has them in the table's order.
	mu     sync.Mutex
	leases *lease.Table
	// vain are expiries that Raft refused; they and ticks are proposed again, but
	// not before pause.
	vain  []lease.Decision
	pause lease.Instant
	// due is the engine's next deadline, valid if hasDue; stamped is the log time
	// of the last entry; ticking is set while a Tick is on its way.
	due     engine.LogTime
	hasDue  bool
	stamped engine.LogTime
	ticking bool
}

// Term is the Raft term of the tenure.
func (t *Tenure) Term() uint64 { return t.term }

// Valid tells whether this node may still speak as the leader of the term; it
// looks at Raft's current term. What was answered before it turned false was
// right when it was decided. A leader that gave up for want of a quorum keeps the
// term, but can do nothing more in it: nobody leads twice in a term.
func (t *Tenure) Valid() bool {
	return !t.over.Load() && t.raft.Term() == t.term && t.raft.Leading()
}

// Now is the log clock: the largest time in the log when the tenure began, plus
// what has passed on Mono since.
func (t *Tenure) Now() engine.LogTime { return t.began + engine.LogTime(t.instant()) }

// instant is Mono since the tenure began.
func (t *Tenure) instant() lease.Instant { return t.office.clocks.Mono.Since(t.origin) }

// Mark and Committed implement propose.Office.
func (t *Tenure) Mark() uint64 { return t.rounds.Mark() }

// Committed says that an entry of this term, handed to Raft after mark, is committed.
func (t *Tenure) Committed(mark, index uint64) { t.rounds.Committed(mark, index) }

// Submit proposes a command; see propose.Proposer.Submit.
func (t *Tenure) Submit(command engine.Command, done propose.Completion) error {
	return t.proposer.Submit(command, done)
}

// SubmitOwn proposes a command of the service; see propose.Proposer.SubmitOwn.
func (t *Tenure) SubmitOwn(command engine.Command, done propose.Completion) error {
	return t.proposer.SubmitOwn(command, done)
}

// Confirm calls done once it is certain that this node was leader after this
// call; see confirm.Rounds.Confirm.
func (t *Tenure) Confirm(urgent bool, done confirm.Done) { t.rounds.Confirm(urgent, done) }

// Stats are the proposer's counters.
func (t *Tenure) Stats() propose.Stats { return t.proposer.Stats() }

// close throws everything of the tenure away.
func (t *Tenure) close() {
	if t.over.Swap(true) {
		return
	}
	close(t.end)
	t.proposer.Close()
	t.rounds.Close()
	t.logger.Info("tenure over", "term", t.term)
}

// follow keeps the table in step with an applied entry of this tenure.
func (t *Tenure) follow(e *engine.Engine, events []engine.Event) {
	now := t.instant()
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range events {
		ev := &events[i]
		switch ev.Kind {
		case engine.EventSessionOpened:
			if s, ok := e.Session(ev.Session); ok {
				t.leases.Opened(s.ID, s.TTL, now)
			}
		case engine.EventSessionTakenOver:
			if s, ok := e.Session(ev.Session); ok {
				t.leases.TakenOver(s.ID, s.TTL, now)
			}
		case engine.EventSessionExpired, engine.EventSessionEnded, engine.EventSessionGone:
			t.leases.Gone(ev.Session)
		case engine.EventTenureBegan, engine.EventSessionLeft, engine.EventSessionJeopardy, engine.EventSessionAlive,
			engine.EventQueued, engine.EventGranted, engine.EventReentered, engine.EventLeftOnce, engine.EventGrantEnded,
			engine.EventWaitEnded, engine.EventClosed, engine.EventReopened:
			// These change no deadline of a session.
		}
	}
	t.due, t.hasDue = e.NextDue()
	t.stamped = e.Time()
	t.ping()
}

func (t *Tenure) ping() {
	select {
	case t.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Answered takes a voter's answer to a question of this tenure's rounds.
func (t *Tenure) Answered(node string, term, nonce uint64) { t.rounds.Answer(node, term, nonce) }

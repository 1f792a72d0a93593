package tenure

import (
	"time"

	"github.com/jonboulle/clockwork"

	"lockstep/engine"
	"lockstep/nodes/lease"
)

const (
	// tickEvery is how long the log may go without an entry while a deadline is
	// pending: so much a change of leader can lose.
	tickEvery = time.Second
	// retryEvery is how soon is proposed again what Raft refused although the term
	// stands: it does so while it tries to hand the leadership over.
	retryEvery = 50 * time.Millisecond
)

// watchDeadlines proposes what sessions' silence and the engine's deadlines call
// for, until the tenure ends.
func (t *Tenure) watchDeadlines() {
	for {
		timer, due := t.nextDeadline()
		select {
		case <-t.end:
		case <-t.wake:
		case <-due:
		}
		if timer != nil {
			timer.Stop()
		}
		if !t.Valid() {
			return
		}
		t.actOnDeadlines()
	}
}

// nextDeadline returns a timer for what comes next; nil and a channel that never
// delivers if nothing is pending.
func (t *Tenure) nextDeadline() (clockwork.Timer, <-chan time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.instant()
	at, pending := t.leases.Plan()
	earlier := func(instant lease.Instant) {
		if !pending || instant < at {
			at, pending = instant, true
		}
	}
	if len(t.vain) > 0 {
		earlier(t.pause)
	}
	if t.hasDue && !t.ticking {
		earlier(max(t.tickAt(), t.pause))
	}
	if !pending {
		return nil, nil
	}
	timer := t.office.clocks.Mono.NewTimer(max(at-now, 0))
	return timer, timer.Chan()
}

// tickAt is when a Tick is to be proposed: when something is due, and at least
// tickEvery after the last entry.
func (t *Tenure) tickAt() lease.Instant {
	return min(lease.Instant(t.due-t.began), lease.Instant(t.stamped-t.began)+tickEvery)
}

func (t *Tenure) actOnDeadlines() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.instant()
	decisions := t.leases.Advance(now)
	if now >= t.pause {
		decisions = append(t.vain, decisions...)
		t.vain = nil
	}
	for _, d := range decisions {
		if t.SubmitOwn(t.command(d), decided{t, d}) != nil {
			return // the tenure is over
		}
	}
	if t.hasDue && !t.ticking && now >= max(t.tickAt(), t.pause) {
		t.ticking = t.SubmitOwn(&engine.Tick{Term: t.term}, ticked{t}) == nil
	}
}

func (t *Tenure) command(d lease.Decision) engine.Command {
	if d.Expire {
		return &engine.ExpireSession{Term: t.term, Session: d.Session}
	}
	return &engine.Silent{Term: t.term, Session: d.Session, Observed: d.Observed}
}

// decided is the completion of a decision. What it did arrives as events.
type decided struct {
	tenure   *Tenure
	decision lease.Decision
}

// Decided implements propose.Completion.
func (decided) Decided(engine.Result) {}

// Failed implements propose.Completion. A doomed session must end, so its expiry
// is proposed again as long as the tenure lasts. Silence is not: it would come
// behind an Alive which was taken to undo it.
func (c decided) Failed(error) {
	if !c.decision.Expire {
		return
	}
	c.tenure.again(func() { c.tenure.vain = append(c.tenure.vain, c.decision) })
}

type ticked struct{ tenure *Tenure }

// Decided implements propose.Completion.
func (c ticked) Decided(engine.Result) {
	c.tenure.mu.Lock()
	c.tenure.ticking = false
	c.tenure.mu.Unlock()
	c.tenure.ping()
}

// Failed implements propose.Completion.
func (c ticked) Failed(error) { c.tenure.again(func() { c.tenure.ticking = false }) }

// again notes, with note, what is to be proposed again a little later.
func (t *Tenure) again(note func()) {
	t.mu.Lock()
	note()
	t.pause = t.instant() + retryEvery
	t.mu.Unlock()
	t.ping()
}

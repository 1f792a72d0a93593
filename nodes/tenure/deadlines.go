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
	// retryEvery is how soon a decision that found the queue full is proposed again.
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
	if len(t.undone) > 0 {
		earlier(now + retryEvery)
	}
	if t.hasDue && !t.ticking {
		earlier(t.tickAt())
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
	now := t.instant()
	decisions := append(t.undone, t.leases.Advance(now)...)
	t.undone = nil
	tick := t.hasDue && !t.ticking && now >= t.tickAt()
	t.ticking = t.ticking || tick
	t.mu.Unlock()

	for i, d := range decisions {
		if err := t.Submit(t.command(d), ignore{}); err != nil {
			t.mu.Lock()
			t.undone = append(t.undone, decisions[i:]...)
			t.mu.Unlock()
			break
		}
	}
	if tick {
		if err := t.Submit(&engine.Tick{Term: t.term}, ticked{t}); err != nil {
			ticked{t}.Failed(err)
		}
	}
}

func (t *Tenure) command(d lease.Decision) engine.Command {
	if d.Expire {
		return &engine.ExpireSession{Term: t.term, Session: d.Session}
	}
	return &engine.Silent{Term: t.term, Session: d.Session, Observed: d.Observed}
}

// ignore is the completion of decisions: what they did arrives as events, and a
// new tenure decides anew what this one could not bring into the log.
type ignore struct{}

// Decided implements propose.Completion.
func (ignore) Decided(engine.Result) {}

// Failed implements propose.Completion.
func (ignore) Failed(error) {}

type ticked struct{ tenure *Tenure }

// Decided implements propose.Completion.
func (c ticked) Decided(engine.Result) {
	c.tenure.mu.Lock()
	c.tenure.ticking = false
	c.tenure.mu.Unlock()
	c.tenure.ping()
}

// Failed implements propose.Completion. A full queue carries log time by itself.
func (c ticked) Failed(error) {
	c.tenure.mu.Lock()
	c.tenure.ticking = false
	c.tenure.mu.Unlock()
}

package engine

import (
	"slices"
	"time"

	"lockstep/engine/lease"
	"lockstep/engine/mode"
	"lockstep/engine/queue"
)

// asked is a request that is being granted.
type asked struct {
	owner       OwnerID
	mode        Mode
	incarnation uint32
	hold        time.Duration
	delay       time.Duration
	// waiter is nil when the request never waited.
	waiter *waiter
}

// give grants a request that queue.Admit admitted, on touched records, and
// returns the holder's place. The token is made here and nowhere else.
func (e *Engine) give(s *session, l *lock, a asked) int {
	e.lastToken++
	g := grant{
		session: s.id, owner: a.owner, mode: a.mode, incarnation: a.incarnation, count: 1,
		token: e.lastToken, floor: l.floor(a.mode), sinceTime: e.time, delay: a.delay,
	}
	if a.hold > 0 {
		g.until = lease.Add(e.time, a.hold)
	}
	ev := Event{
		Kind: EventGranted, Path: l.path, Session: s.id, Owner: g.owner, Mode: g.mode,
		Token: g.token, Floor: g.floor, Count: 1, Until: g.until,
	}
	if a.waiter != nil {
		g.waiter = a.waiter.id
		ev.Waiter, ev.Sequence = a.waiter.id, a.waiter.sequence
	}
	g.since = e.emit(ev)
	s.grantsChanged = g.since
	if a.waiter != nil {
		s.endedWaits = append(s.endedWaits, WaitOutcome{
			Waiter: a.waiter.id, Sequence: a.waiter.sequence, Token: g.token, Position: g.since,
		})
	}
	l.last[g.mode-1] = g.token
	l.held.Add(g.mode)
	l.holders = append(l.holders, g)
	e.indexGrant(s, l, &g)
	return len(l.holders) - 1
}

// indexGrant notes a grant wherever it is looked for.
func (e *Engine) indexGrant(s *session, l *lock, g *grant) {
	s.own.grants.Insert(0, g.token, l.path)
	s.grants++
	e.grants++
	if g.until != 0 {
		e.due.Insert(0, dueKey{g.until, g.since}, dueItem{kind: dueHold, path: l.path, token: g.token})
	}
}

// promote grants what can be granted now: exactly the requests that the last
// change lets in.
func (e *Engine) promote(l *lock) {
	if l.line == nil || l.line.waiters.Len() == 0 {
		return
	}
	granted := l.granted()
	if mode.BlocksAll(granted) {
		return
	}
	e.keys = l.line.waiters.Grantable(e.keys[:0], granted, func(w *waiter) bool { return e.fit(l, w) })
	for _, key := range e.keys {
		w, _ := l.line.waiters.Get(key)
		s := e.dequeue(l, w)
		e.give(s, l, asked{
			owner: w.owner, mode: w.mode, incarnation: w.incarnation, hold: w.hold, delay: w.delay, waiter: w,
		})
	}
}

// fit says whether a waiter may be granted at all. What is not fit keeps its place
// until it has been ended; see acquire.
func (e *Engine) fit(l *lock, w *waiter) bool {
	if lease.Passed(w.deadline, e.time) {
		return false // its client may already have given up
	}
	s, _ := e.sessions.Get(w.session)
	if s.state == SessionExpired {
		return false // nobody is left to hold it
	}
	_, held := l.ofOwner(s, w.owner)
	return !held // its own overdue grant must end first
}

// dequeue takes a waiter out of its queue and the indexes, and returns its touched
// session.
func (e *Engine) dequeue(l *lock, w *waiter) *session {
	s, _ := e.sessions.Get(w.session)
	s = e.touchSession(s)
	l.line.waiters.Leave(e.epoch, w.key)
	s.own.waits.Delete(0, w.id)
	s.waiters--
	e.waiters--
	if w.deadline != 0 {
		e.due.Delete(0, dueKey{w.deadline, w.since})
	}
	return s
}

// endWait ends a wait without a grant.
func (e *Engine) endWait(w *waiter, reason EndReason) {
	l, _ := e.locks.Get(w.path)
	l = e.touchLock(l)
	s := e.dequeue(l, w)
	at := e.emit(Event{
		Kind: EventWaitEnded, Path: w.path, Session: w.session, Owner: w.owner, Mode: w.mode,
		Waiter: w.id, Sequence: w.sequence, Reason: reason,
	})
	if s.state != SessionExpired {
		s.endedWaits = append(s.endedWaits, WaitOutcome{Waiter: w.id, Sequence: w.sequence, Reason: reason, Position: at})
	}
	e.promote(l) // it may have stood in somebody's way
	e.collect(l)
}

// endGrant ends a grant. Where its holder did not let go of it by its own will,
// its lock-delay begins.
func (e *Engine) endGrant(path string, token Token, reason EndReason) {
	l, _ := e.locks.Get(path)
	l = e.touchLock(l)
	i, _ := l.byToken(token)
	g := l.holders[i]
	l.holders = slices.Delete(l.holders, i, i+1)
	l.held.Remove(g.mode)

	s, _ := e.sessions.Get(g.session)
	s = e.touchSession(s)
	s.own.grants.Delete(0, token)
	s.grants--
	e.grants--
	if g.until != 0 {
		e.due.Delete(0, dueKey{g.until, g.since})
	}
	s.grantsChanged = e.emit(Event{
		Kind: EventGrantEnded, Path: path, Session: g.session, Owner: g.owner, Mode: g.mode, Token: token, Reason: reason,
	})
	if g.delay > 0 && (reason == EndSessionExpired || reason == EndHoldEnded) {
		e.close(l, &g)
	}
	e.promote(l)
	e.collect(l)
}

// close begins a lock-delay.
func (e *Engine) close(l *lock, g *grant) {
	c := closure{Closure: Closure{Mode: g.mode, Token: g.token, Until: lease.Add(e.time, g.delay)}}
	c.since = e.emit(Event{Kind: EventClosed, Path: l.path, Mode: c.Mode, Token: c.Token, Until: c.Until})
	if l.line == nil {
		l.line = &line{waiters: queue.New[*waiter]()}
	}
	l.line.closures = append(l.line.closures, c)
	l.line.closed.Add(c.Mode)
	e.indexClosure(l, &c)
}

func (e *Engine) indexClosure(l *lock, c *closure) {
	e.due.Insert(0, dueKey{c.Until, c.since}, dueItem{kind: dueClosure, path: l.path, token: c.Token})
}

// reopen ends a lock-delay.
func (e *Engine) reopen(path string, token Token) {
	l, _ := e.locks.Get(path)
	l = e.touchLock(l)
	i := slices.IndexFunc(l.line.closures, func(c closure) bool { return c.Token == token })
	c := l.line.closures[i]
	l.line.closures = slices.Delete(l.line.closures, i, i+1)
	l.line.closed.Remove(c.Mode)
	e.due.Delete(0, dueKey{c.Until, c.since})
	e.emit(Event{Kind: EventReopened, Path: path, Mode: c.Mode, Token: token})
	e.promote(l)
	e.collect(l)
}

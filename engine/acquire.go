package engine

import (
	"time"

	"lockstep/engine/lease"
	"lockstep/engine/mode"
	"lockstep/engine/queue"
)

// acquire grants, queues or refuses.
//
// All deadlines that are due have fired before, unless they were more than an
// entry may fire. What those few leave behind blocks, and is never granted,
// until its turn comes: an overdue grant or closure still counts, an overdue
// waiter keeps its place. So a deadline takes effect late, never early.
func (e *Engine) acquire(s *session, c *Acquire) Result {
	l, found := e.locks.Get(c.Path)
	var granted, ahead mode.Set
	policy := queue.FIFO
	key := policy(queue.Arrival{Index: e.index, Waiter: uint64(e.lastWaiter) + 1})
	if found {
		granted = l.granted()
		if i, held := l.ofOwner(s, c.Owner); held {
			if !lease.Passed(l.holders[i].until, e.time) {
				return e.reenter(s, e.touchLock(l), i, c)
			}
			// Its own overdue grant must end first, whatever the modes: an owner
			// never has two grants on one lock.
			granted = mode.All
		}
		if l.waitedForBy(s, c.Owner) {
			return e.refuse(ReasonAlreadyWaiting)
		}
		if l.line != nil {
			ahead = l.line.waiters.ModesAhead(key)
		}
	}
	admitted := queue.Admit(c.Mode, granted, ahead)
	if !admitted && c.Wait == NoWait {
		return e.held(l, c.Mode)
	}
	if refusal := e.roomFor(s, l, !admitted /* waits */); refusal != nil {
		return refusal
	}
	if !found {
		l = e.makeLock(c.Path)
	} else {
		l = e.touchLock(l)
	}
	if !admitted {
		return e.enqueue(s, l, key, c)
	}
	i := e.give(s, l, asked{owner: c.Owner, mode: c.Mode, incarnation: s.incarnation, hold: c.Hold, delay: c.Delay})
	return &Granted{Grant: l.holder(i), HoldRemaining: c.Hold, Position: e.position()}
}

// reenter counts one more acquisition of a grant that stands.
func (e *Engine) reenter(s *session, l *lock, i int, c *Acquire) Result {
	g := &l.holders[i]
	if g.mode != c.Mode {
		return e.refuse(ReasonConversion)
	}
	if g.count >= MaxCount {
		return e.exhausted(limitCount)
	}
	g.count++
	s.grantsChanged = e.emit(Event{
		Kind: EventReentered, Path: l.path, Session: s.id, Owner: g.owner, Mode: g.mode, Token: g.token, Count: g.count,
	})
	var remaining time.Duration
	if g.until != 0 {
		remaining = g.until.Sub(e.time)
	}
	return &Granted{Grant: l.holder(i), HoldRemaining: remaining, Position: e.position()}
}

// waitedForBy says whether an owner waits for the lock: it looks among the lock's
// waiters or among the session's, whichever are fewer.
func (l *lock) waitedForBy(s *session, owner OwnerID) bool {
	if l.line == nil || s.waiters == 0 {
		return false
	}
	if l.line.waiters.Len() < int(s.waiters) {
		for _, w := range l.line.waiters.All() {
			if w.session == s.id && w.owner == owner {
				return true
			}
		}
		return false
	}
	for _, w := range s.own.waits.All() {
		if w.owner == owner && w.path == l.path {
			return true
		}
	}
	return false
}

// held refuses a request that does not wait, and names who is in its way, if
// that is a holder.
func (e *Engine) held(l *lock, m Mode) Result {
	refusal := e.refuse(ReasonHeld)
	for i := range l.holders {
		if !mode.Compatible(l.holders[i].mode, m) {
			refusal.Holder = l.holder(i)
			break
		}
	}
	return refusal
}

// roomFor refuses a request that would go beyond a limit. What waits is counted
// as if it were granted, so that a grant never meets a limit.
func (e *Engine) roomFor(s *session, l *lock, waits bool) Result {
	switch {
	case l == nil && e.locks.Len() >= int(e.limits.Locks):
		return e.exhausted(limitLocks)
	case l != nil && l.requests() >= int(e.limits.RequestsPerLock):
		return e.exhausted(limitRequests)
	case s.grants+s.waiters >= e.limits.PossessionsPerSession:
		return e.exhausted(limitPossessions)
	case waits && int(s.waiters)+len(s.endedWaits) >= int(e.limits.WaitsPerSession):
		return e.exhausted(limitWaits)
	default:
		return nil
	}
}

// enqueue makes the request wait.
func (e *Engine) enqueue(s *session, l *lock, key queue.Key, c *Acquire) Result {
	e.lastWaiter++
	w := &waiter{
		id: e.lastWaiter, key: key, path: l.path, session: s.id, incarnation: s.incarnation,
		owner: c.Owner, mode: c.Mode, sequence: c.Sequence, sinceTime: e.time, hold: c.Hold, delay: c.Delay,
	}
	if c.Wait != WaitForever {
		w.deadline = lease.Add(e.time, time.Duration(c.Wait))
	}
	w.since = e.emit(Event{
		Kind: EventQueued, Path: l.path, Session: s.id, Owner: w.owner, Mode: w.mode,
		Waiter: w.id, Sequence: w.sequence, Until: w.deadline,
	})
	if l.line == nil {
		l.line = &line{waiters: queue.New[*waiter]()}
	}
	l.line.waiters.Enter(e.epoch, w.key, w.mode, w)
	e.indexWaiter(s, w)
	return &Queued{Waiter: w.id, Position: e.position(), Ahead: uint32(l.line.waiters.Ahead(w.key))}
}

// indexWaiter notes a queued request wherever it is looked for.
func (e *Engine) indexWaiter(s *session, w *waiter) {
	s.own.waits.Insert(0, w.id, w)
	s.waiters++
	e.waiters++
	if w.deadline != 0 {
		e.due.Insert(0, dueKey{w.deadline, w.since}, dueItem{kind: dueWait, waiter: w})
	}
}

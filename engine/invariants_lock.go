package engine

import (
	"lockstep/engine/mode"
)

// holdersCompatible: those who hold a lock get on with each other, and with what
// is closed.
func holdersCompatible(_ *Engine, l *lock) error {
	var seen mode.Set
	for i := range l.holders {
		g := &l.holders[i]
		if !mode.CompatibleWithAll(g.mode, seen) {
			return violated("token %d in %v among incompatible holders", g.token, g.mode)
		}
		seen = seen.With(g.mode)
	}
	if l.line == nil {
		return nil
	}
	for _, c := range l.line.closures {
		if !mode.CompatibleWithAll(c.Mode, seen) {
			return violated("closure of token %d in %v among incompatible holders", c.Token, c.Mode)
		}
	}
	return nil
}

// tokensStrictlyIncrease: later grants have larger tokens, and none is larger than
// the last.
func tokensStrictlyIncrease(e *Engine, l *lock) error {
	before, since := Token(0), Position{}
	for i := range l.holders {
		g := &l.holders[i]
		if g.token <= before || g.token > e.lastToken || g.since.Compare(since) <= 0 {
			return violated("token %d of %v after token %d of %v; the last is %d", g.token, g.since, before, since, e.lastToken)
		}
		before, since = g.token, g.since
	}
	for i, last := range l.last {
		if last > e.lastToken || last != 0 && (last <= l.base || !Mode(i+1).Valid()) {
			return violated("last token %d in mode %d, base %d, last of all %d", last, i+1, l.base, e.lastToken)
		}
	}
	if l.base > e.lastToken {
		return violated("base %d above the last token %d", l.base, e.lastToken)
	}
	return nil
}

// floorsCoverTheIncompatible: a floor lies below its token, and no incompatible
// grant was made between the two.
func floorsCoverTheIncompatible(_ *Engine, l *lock) error {
	for i := range l.holders {
		g := &l.holders[i]
		if g.floor >= g.token || g.floor < l.base {
			return violated("token %d has floor %d, base %d", g.token, g.floor, l.base)
		}
		if last := l.last[g.mode-1]; last < g.token {
			return violated("token %d after the last of its mode, %d", g.token, last)
		}
		for m, last := range l.last {
			if last > g.floor && last < g.token && !mode.Compatible(g.mode, Mode(m+1)) {
				return violated("token %d has floor %d below the incompatible token %d", g.token, g.floor, last)
			}
		}
	}
	return nil
}

// ownersHoldOnce: an owner has one grant on a lock at most, with at least one
// acquisition, and waits for it once at most.
func ownersHoldOnce(_ *Engine, l *lock) error {
	type owner struct {
		session SessionID
		owner   OwnerID
	}
	holds := make(map[owner]bool, len(l.holders))
	for i := range l.holders {
		g := &l.holders[i]
		if o := (owner{g.session, g.owner}); holds[o] || g.count == 0 || g.count > MaxCount || g.owner == 0 {
			return violated("owner %d of session %d: count %d, holds twice: %v", g.owner, g.session, g.count, holds[o])
		}
		holds[owner{g.session, g.owner}] = true
	}
	if l.line == nil {
		return nil
	}
	waits := make(map[owner]bool)
	for _, w := range l.line.waiters.All() {
		if o := (owner{w.session, w.owner}); waits[o] || w.owner == 0 {
			return violated("owner %d of session %d waits twice", w.owner, w.session)
		}
		waits[owner{w.session, w.owner}] = true
	}
	return nil
}

// noOvertaking: nobody holds a lock whose request came after one that still waits
// and does not get on with it.
func noOvertaking(_ *Engine, l *lock) error {
	if l.line == nil {
		return nil
	}
	for i := range l.holders {
		g := &l.holders[i]
		for _, w := range l.line.waiters.All() {
			before := w.since.Compare(g.since) < 0
			if g.waiter != 0 {
				before = w.id < g.waiter
			}
			if !before {
				break // and so are all behind it
			}
			if !mode.Compatible(g.mode, w.mode) {
				return violated("token %d in %v overtook waiter %d in %v", g.token, g.mode, w.id, w.mode)
			}
		}
	}
	return nil
}

// noWaiterForgotten: nobody waits who could hold.
func noWaiterForgotten(e *Engine, l *lock) error {
	if l.line == nil {
		return nil
	}
	keys := l.line.waiters.Grantable(nil, l.granted(), func(w *waiter) bool {
		// One that ends in the queue cannot be granted: fit says the same.
		s, found := e.sessions.Get(w.session)
		return found && s.state != SessionExpired && e.fit(l, w)
	})
	if len(keys) > 0 {
		return violated("waiter %d could be granted", keys[0].Waiter)
	}
	return nil
}

// noIdleRecords: a record says something.
func noIdleRecords(_ *Engine, l *lock) error {
	if l.requests() == 0 {
		return violated("it is free")
	}
	return nil
}

// locksOfTheLiving: whoever holds or waits has a session, whose incarnation asked.
func locksOfTheLiving(e *Engine, l *lock) error {
	for i := range l.holders {
		g := &l.holders[i]
		if s, found := e.sessions.Get(g.session); !found || g.incarnation == 0 || g.incarnation > s.incarnation {
			return violated("token %d: session %d, incarnation %d", g.token, g.session, g.incarnation)
		}
		if g.until != 0 && g.until < g.sinceTime || g.waiter > e.lastWaiter {
			return violated("token %d: until %d, since %d, waiter %d", g.token, g.until, g.sinceTime, g.waiter)
		}
	}
	if l.line == nil {
		return nil
	}
	for _, w := range l.line.waiters.All() {
		if s, found := e.sessions.Get(w.session); !found || w.incarnation == 0 || w.incarnation > s.incarnation {
			return violated("waiter %d: session %d, incarnation %d", w.id, w.session, w.incarnation)
		}
		if w.id == 0 || w.id > e.lastWaiter || w.deadline != 0 && w.deadline < w.sinceTime {
			return violated("waiter %d of %d: deadline %d, since %d", w.id, e.lastWaiter, w.deadline, w.sinceTime)
		}
	}
	return nil
}

// lockNotFromTheFuture: nothing on a lock lies after the last entry.
func lockNotFromTheFuture(e *Engine, l *lock) error {
	for i := range l.holders {
		if g := &l.holders[i]; g.since.Index > e.index || g.sinceTime > e.time {
			return violated("token %d of %v at %d", g.token, g.since, g.sinceTime)
		}
	}
	if l.line == nil {
		return nil
	}
	for _, w := range l.line.waiters.All() {
		if w.since.Index > e.index || w.sinceTime > e.time {
			return violated("waiter %d of %v at %d", w.id, w.since, w.sinceTime)
		}
	}
	for _, c := range l.line.closures {
		if c.since.Index > e.index || c.Token > e.lastToken || c.Until == 0 {
			return violated("closure of token %d of %v until %d", c.Token, c.since, c.Until)
		}
	}
	return nil
}

func lockWithinLimits(e *Engine, l *lock) error {
	if n := l.requests(); n > int(e.limits.RequestsPerLock) {
		return violated("%d requests of at most %d", n, e.limits.RequestsPerLock)
	}
	return nil
}

package engine

import (
	"fmt"

	"lockstep/engine/fingerprint"
	"lockstep/engine/lease"
	"lockstep/engine/mode"
)

// invariant is a named rule that every reachable state obeys. The names are those
// of the specification and of the guarantees in the documentation.
type invariant struct {
	name string
	// Each looks at one lock, at one session, or at the whole; the others are nil.
	lock    func(*Engine, *lock) error
	session func(*Engine, *session) error
	whole   func(*Engine) error
}

var invariants = []invariant{
	{name: "HoldersCompatible", lock: holdersCompatible},
	{name: "TokensStrictlyIncrease", lock: tokensStrictlyIncrease},
	{name: "FloorsCoverTheIncompatible", lock: floorsCoverTheIncompatible},
	{name: "OwnersHoldOnce", lock: ownersHoldOnce},
	{name: "NoOvertaking", lock: noOvertaking},
	{name: "NoWaiterForgotten", lock: noWaiterForgotten},
	{name: "NoIdleRecords", lock: noIdleRecords},
	{name: "LocksOfTheLiving", lock: locksOfTheLiving},
	{name: "SessionsOwnWhatTheyHold", session: sessionsOwnWhatTheyHold},
	{name: "RepliesInWindow", session: repliesInWindow},
	{name: "OutcomesInOrder", session: outcomesInOrder},
	{name: "SessionsWellFormed", session: sessionsWellFormed},
	{name: "NothingFromTheFuture", lock: lockNotFromTheFuture},
	{name: "NothingFromTheFuture", session: sessionNotFromTheFuture},
	{name: "WithinLimits", lock: lockWithinLimits},
	{name: "WithinLimits", session: sessionWithinLimits},
	{name: "WithinLimits", whole: wholeWithinLimits},
	{name: "TenuresInOrder", whole: tenuresInOrder},
	{name: "IndexesMatchTheState", whole: indexesMatchTheState},
	{name: "DigestIsTheSum", whole: digestIsTheSum},
}

// CheckInvariants returns ErrInvariant, wrapped with the rule and the numbers, for
// a state that no sequence of entries leads to. It costs in proportion to the
// state: it is for tests, simulations, Restore and doubts.
func (e *Engine) CheckInvariants() error {
	for _, s := range e.sessions.All() {
		for _, inv := range invariants {
			if inv.session == nil {
				continue
			}
			if err := inv.session(e, s); err != nil {
				return fmt.Errorf("%w: %s: session %d: %w", ErrInvariant, inv.name, s.id, err)
			}
		}
	}
	for _, l := range e.locks.All() {
		for _, inv := range invariants {
			if inv.lock == nil {
				continue
			}
			if err := inv.lock(e, l); err != nil {
				return fmt.Errorf("%w: %s: lock %q: %w", ErrInvariant, inv.name, l.path, err)
			}
		}
	}
	for _, inv := range invariants {
		if inv.whole == nil {
			continue
		}
		if err := inv.whole(e); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvariant, inv.name, err)
		}
	}
	return nil
}

// violated makes an error of the numbers.
func violated(format string, args ...any) error { return fmt.Errorf(format, args...) }

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
		if g.until != 0 && g.until <= g.sinceTime || g.waiter > e.lastWaiter {
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
		if w.id == 0 || w.id > e.lastWaiter || w.deadline != 0 && w.deadline <= w.sinceTime {
			return violated("waiter %d of %d: deadline %d, since %d", w.id, e.lastWaiter, w.deadline, w.sinceTime)
		}
	}
	return nil
}

// sessionsOwnWhatTheyHold: what a session's index lists, its locks confirm.
func sessionsOwnWhatTheyHold(e *Engine, s *session) error {
	if int(s.grants) != s.own.grants.Len() || int(s.waiters) != s.own.waits.Len() {
		return violated("%d grants and %d waiters, indexed %d and %d",
			s.grants, s.waiters, s.own.grants.Len(), s.own.waits.Len())
	}
	for token, path := range s.own.grants.All() {
		l, found := e.locks.Get(path)
		if !found {
			return violated("token %d on %q, which is free", token, path)
		}
		i, found := l.byToken(token)
		if !found || l.holders[i].session != s.id {
			return violated("token %d does not hold %q", token, path)
		}
	}
	for id, w := range s.own.waits.All() {
		l, found := e.locks.Get(w.path)
		if !found || l.line == nil {
			return violated("waiter %d waits for %q, which nobody waits for", id, w.path)
		}
		if queued, found := l.line.waiters.Get(w.key); !found || queued != w || w.session != s.id {
			return violated("waiter %d does not wait for %q", id, w.path)
		}
	}
	return nil
}

// repliesInWindow: answers are kept for the sequences above the acknowledged ones,
// one each.
func repliesInWindow(_ *Engine, s *session) error {
	before := s.ackedThrough
	for i := range s.replies {
		r := &s.replies[i]
		if r.sequence <= before || r.sequence > s.ackedThrough+ReplyWindow || r.sequence > s.lastSequence {
			return violated("sequence %d after %d, acknowledged %d, last %d", r.sequence, before, s.ackedThrough, s.lastSequence)
		}
		before = r.sequence
	}
	if s.ackedThrough > MaxSequence || s.lastSequence > MaxSequence {
		return violated("sequence %d, acknowledged %d", s.lastSequence, s.ackedThrough)
	}
	return nil
}

// outcomesInOrder: the outcomes of waits are kept by position.
func outcomesInOrder(e *Engine, s *session) error {
	before := Position{}
	for _, o := range s.endedWaits {
		granted := o.Token != 0 && o.Reason == 0
		if o.Position.Compare(before) <= 0 || !granted && (o.Token != 0 || o.Reason == 0) || o.Token > e.lastToken {
			return violated("outcome of waiter %d at %v after %v: token %d, reason %d",
				o.Waiter, o.Position, before, o.Token, o.Reason)
		}
		before = o.Position
	}
	return nil
}

// sessionsWellFormed: a session's times go together, and its state with them.
func sessionsWellFormed(e *Engine, s *session) error {
	if s.id == 0 || s.id > e.lastSession || s.incarnation == 0 {
		return violated("incarnation %d, the last session is %d", s.incarnation, e.lastSession)
	}
	if s.ttl < MinTTL || s.ttl > MaxTTL || s.grace < lease.MinGrace(s.ttl) || s.grace >= s.ttl || s.silence > s.ttl {
		return violated("TTL %v, grace %v, silence %v", s.ttl, s.grace, s.silence)
	}
	switch s.state {
	case SessionAlive, SessionJeopardy:
		if (s.silence > 0) != (s.state == SessionJeopardy) || s.ended {
			return violated("state %d, silence %v, ended %v", s.state, s.silence, s.ended)
		}
	case SessionExpired:
	default:
		return violated("there is no state %d", s.state)
	}
	before := uint32(1)
	for _, t := range s.takeOvers {
		if t.nonce == 0 || t.incarnation <= before || t.incarnation > s.incarnation {
			return violated("take-over to incarnation %d after %d, now %d", t.incarnation, before, s.incarnation)
		}
		before = t.incarnation
	}
	if before != s.incarnation {
		return violated("incarnation %d, the last take-over was to %d", s.incarnation, before)
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

// sessionNotFromTheFuture: nothing of a session lies after the last entry.
func sessionNotFromTheFuture(e *Engine, s *session) error {
	if s.opened.Index > e.index || s.openedTime > e.time || s.grantsChanged.Index > e.index || s.embargoFrom > e.time {
		return violated("opened %v at %d, grants changed %v, embargo from %d",
			s.opened, s.openedTime, s.grantsChanged, s.embargoFrom)
	}
	return nil
}

func lockWithinLimits(e *Engine, l *lock) error {
	if n := l.requests(); n > int(e.limits.RequestsPerLock) {
		return violated("%d requests of at most %d", n, e.limits.RequestsPerLock)
	}
	return nil
}

func sessionWithinLimits(e *Engine, s *session) error {
	if n := s.grants + s.waiters; n > e.limits.PossessionsPerSession {
		return violated("%d possessions of at most %d", n, e.limits.PossessionsPerSession)
	}
	if n := int(s.waiters) + len(s.endedWaits); n > int(e.limits.WaitsPerSession) {
		return violated("%d waits of at most %d", n, e.limits.WaitsPerSession)
	}
	if len(s.replies) > ReplyWindow || len(s.takeOvers) > TakeOversKept {
		return violated("%d replies, %d take-overs", len(s.replies), len(s.takeOvers))
	}
	if len(s.principal) > MaxPrincipalBytes || len(s.label) > MaxLabelBytes {
		return violated("principal of %d bytes, label of %d", len(s.principal), len(s.label))
	}
	return nil
}

func wholeWithinLimits(e *Engine) error {
	if e.sessions.Len() > int(e.limits.Sessions) || e.locks.Len() > int(e.limits.Locks) {
		return violated("%d sessions, %d locks", e.sessions.Len(), e.locks.Len())
	}
	return nil
}

// tenuresInOrder: tenures began one after the other.
func tenuresInOrder(e *Engine) error {
	before := LogTime(0)
	for i, began := range e.tenures.began {
		known := uint64(i) < e.tenures.seen
		if known && began < before || !known && began != 0 || began > e.time {
			return violated("tenure %d of %d began at %d, the one before at %d, now %d", i, e.tenures.seen, began, before, e.time)
		}
		before = began
	}
	if e.tenure.Term > e.term {
		return violated("tenure of term %d in term %d", e.tenure.Term, e.term)
	}
	return nil
}

// indexesMatchTheState: what Restore would build is what is there.
func indexesMatchTheState(e *Engine) error {
	var grants, waiters uint64
	deadlines, ending := 0, 0
	for _, l := range e.locks.All() {
		grants += uint64(len(l.holders))
		var held, closed mode.Counts
		for i := range l.holders {
			g := &l.holders[i]
			held.Add(g.mode)
			if g.until == 0 {
				continue
			}
			deadlines++
			if item, found := e.due.Get(dueKey{g.until, g.since}); !found || item.kind != dueHold || item.token != g.token || item.path != l.path {
				return violated("the hold of token %d is not indexed", g.token)
			}
		}
		if held != l.held {
			return violated("modes held on %q are counted %v, are %v", l.path, l.held, held)
		}
		if l.line == nil {
			continue
		}
		waiters += uint64(l.line.waiters.Len())
		for _, w := range l.line.waiters.All() {
			if w.deadline == 0 {
				continue
			}
			deadlines++
			if item, found := e.due.Get(dueKey{w.deadline, w.since}); !found || item.waiter != w {
				return violated("the deadline of waiter %d is not indexed", w.id)
			}
		}
		for i := range l.line.closures {
			c := &l.line.closures[i]
			closed.Add(c.Mode)
			deadlines++
			if item, found := e.due.Get(dueKey{c.Until, c.since}); !found || item.kind != dueClosure || item.token != c.Token {
				return violated("the closure of token %d is not indexed", c.Token)
			}
		}
		if closed != l.line.closed {
			return violated("modes closed on %q are counted %v, are %v", l.path, l.line.closed, closed)
		}
	}
	for _, s := range e.sessions.All() {
		if s.state == SessionExpired {
			ending++
		}
		if e.bySecret[s.secretHash] != s.id {
			return violated("session %d is not found by its secret", s.id)
		}
	}
	if grants != e.grants || waiters != e.waiters || deadlines != e.due.Len() ||
		ending != e.ending.Len() || len(e.bySecret) != e.sessions.Len() {
		return violated("grants %d/%d, waiters %d/%d, deadlines %d/%d, ending sessions %d/%d, secrets %d/%d",
			grants, e.grants, waiters, e.waiters, deadlines, e.due.Len(),
			ending, e.ending.Len(), e.sessions.Len(), len(e.bySecret))
	}
	return nil
}

// digestIsTheSum: the digest kept while things change is the one made from scratch.
func digestIsTheSum(e *Engine) error {
	var buf []byte
	buf = appendHeader(buf[:0], &e.state)
	sum := fingerprint.Of(seedHeader, buf)
	for _, s := range e.sessions.All() {
		buf = appendSession(buf[:0], s)
		sum += fingerprint.Of(seedSession, buf)
	}
	for _, l := range e.locks.All() {
		buf = appendLock(buf[:0], l)
		sum += fingerprint.Of(seedLock, buf)
	}
	if kept := e.Digest(); kept != sum {
		return violated("kept %016x, made %016x", kept, sum)
	}
	return nil
}

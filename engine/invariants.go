package engine

import "fmt"

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
	{name: "ModesCounted", lock: modesCounted},
	{name: "DeadlinesIndexed", lock: deadlinesIndexed},
	{name: "IndexesMatchTheState", whole: indexesMatchTheState},
	{name: "DigestIsTheSum", whole: digestIsTheSum},
}

// CheckInvariants returns ErrInvariant, wrapped with the rule and the numbers, for
// a state that no sequence of entries leads to. It costs in proportion to the
// state: it is for tests, simulations, Restore and doubts.
func (e *Engine) CheckInvariants() error {
	for _, inv := range invariants {
		if err := inv.check(e); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvariant, inv.name, err)
		}
	}
	return nil
}

func (inv *invariant) check(e *Engine) error {
	switch {
	case inv.session != nil:
		for _, s := range e.sessions.All() {
			if err := inv.session(e, s); err != nil {
				return fmt.Errorf("session %d: %w", s.id, err)
			}
		}
	case inv.lock != nil:
		for _, l := range e.locks.All() {
			if err := inv.lock(e, l); err != nil {
				return fmt.Errorf("lock %q: %w", l.path, err)
			}
		}
	case inv.whole != nil:
		return inv.whole(e)
	}
	return nil
}

// violated makes an error of the numbers.
func violated(format string, args ...any) error { return fmt.Errorf(format, args...) }

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

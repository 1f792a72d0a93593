package wire

import (
	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
)

// Position translates a position.
func Position(p engine.Position) *lockstepv1.Position {
	return &lockstepv1.Position{Index: p.Index, N: p.N}
}

// FromPosition translates a position; nil is the one that precedes everything.
func FromPosition(p *lockstepv1.Position) engine.Position {
	return engine.Position{Index: p.GetIndex(), N: p.GetN()}
}

// Grant translates a grant.
func Grant(g *engine.Grant) *lockstepv1.Grant {
	return &lockstepv1.Grant{
		Path: g.Path, Session: uint64(g.Session), Owner: uint64(g.Owner), Mode: lockstepv1.Mode(g.Mode),
		Token: uint64(g.Token), Floor: uint64(g.Floor), Count: g.Count,
		Since: Position(g.Since), SinceNs: uint64(g.SinceTime), Waiter: uint64(g.Waiter), UntilNs: uint64(g.Until),
	}
}

// Waiter translates a waiter.
func Waiter(w *engine.Waiter) *lockstepv1.Waiter {
	return &lockstepv1.Waiter{
		Waiter: uint64(w.ID), Path: w.Path, Session: uint64(w.Session), Owner: uint64(w.Owner),
		Mode: lockstepv1.Mode(w.Mode), Since: Position(w.Since), SinceNs: uint64(w.SinceTime),
		DeadlineNs: uint64(w.Deadline), Ahead: w.Ahead, Sequence: w.Sequence,
	}
}

// WaitOutcome translates how a wait ended.
func WaitOutcome(o *engine.WaitOutcome) *lockstepv1.WaitOutcome {
	return &lockstepv1.WaitOutcome{
		Waiter: uint64(o.Waiter), Sequence: o.Sequence, Token: uint64(o.Token),
		Reason: lockstepv1.EndReason(o.Reason), Position: Position(o.Position),
	}
}

// Lock translates a lock as it is at log time now.
func Lock(l *engine.LockInfo, now engine.LogTime) *lockstepv1.Lock {
	lock := &lockstepv1.Lock{
		Path: l.Path, State: lockState(l), Waiters: l.Waiters, LastToken: uint64(l.LastToken), NowNs: uint64(now),
	}
	for i := range l.Holders {
		lock.Holders = append(lock.Holders, Grant(&l.Holders[i]))
	}
	for _, c := range l.Closures {
		lock.Closures = append(lock.Closures, &lockstepv1.Closure{
			Mode: lockstepv1.Mode(c.Mode), Token: uint64(c.Token), UntilNs: uint64(c.Until),
		})
	}
	return lock
}

func lockState(l *engine.LockInfo) lockstepv1.LockState {
	switch {
	case l.Waiters > 0:
		return lockstepv1.LockState_LOCK_STATE_QUEUED
	case len(l.Holders) > 0:
		return lockstepv1.LockState_LOCK_STATE_HELD
	case len(l.Closures) > 0:
		return lockstepv1.LockState_LOCK_STATE_CLOSED
	default:
		return lockstepv1.LockState_LOCK_STATE_FREE
	}
}

// Session translates a session; its secret's hash stays here.
func Session(s *engine.SessionInfo) *lockstepv1.SessionInfo {
	return &lockstepv1.SessionInfo{
		Session: uint64(s.ID), Incarnation: s.Incarnation, State: lockstepv1.SessionStateKind(s.State),
		Principal: s.Principal, Label: s.Label, TtlNs: int64(s.TTL), GraceNs: int64(s.Grace),
		Grants: s.Grants, Waiters: s.Waiters, Opened: Position(s.Opened), OpenedNs: uint64(s.OpenedTime),
		SilenceNs: int64(s.Silence), GrantsPosition: Position(s.GrantsChanged), Ended: s.Ended,
	}
}

// Event translates an event.
func Event(e *engine.Event) *lockstepv1.Event {
	event := &lockstepv1.Event{
		Position: Position(e.Position), Kind: lockstepv1.EventKind(e.Kind), TimeNs: uint64(e.Time),
		Path: e.Path, Session: uint64(e.Session), Incarnation: e.Incarnation, Owner: uint64(e.Owner),
		Mode: lockstepv1.Mode(e.Mode), Token: uint64(e.Token), Floor: uint64(e.Floor), Count: e.Count,
		Waiter: uint64(e.Waiter), UntilNs: uint64(e.Until), Reason: lockstepv1.EndReason(e.Reason),
		Term: e.Term, Sequence: e.Sequence,
	}
	if e.Kind == engine.EventTenureBegan {
		event.Node = e.Name
	} else {
		event.Principal = e.Name
	}
	return event
}

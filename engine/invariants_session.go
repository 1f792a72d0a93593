package engine

import (
	"lockstep/engine/lease"
)

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

// sessionNotFromTheFuture: nothing of a session lies after the last entry.
func sessionNotFromTheFuture(e *Engine, s *session) error {
	if s.opened.Index > e.index || s.openedTime > e.time || s.grantsChanged.Index > e.index || s.embargoFrom > e.time {
		return violated("opened %v at %d, grants changed %v, embargo from %d",
			s.opened, s.openedTime, s.grantsChanged, s.embargoFrom)
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

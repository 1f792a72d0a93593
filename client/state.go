package client

import (
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/client/belief"
)

// fetch asks for all that the session holds and waits for: after a reconnect,
// when events are missing, and for what remains of a hold.
type fetch struct {
	call
	s *Session
}

// fetchLocked fetches the state. What is pushed meanwhile is held back.
func (s *Session) fetchLocked() {
	if s.fetching {
		s.again = true
		return
	}
	s.fetching = true
	f := &fetch{s: s}
	f.asker, f.session, f.timed = f, s, true
	f.frame.Body = &lockstepv1.ClientFrame_GetSession{GetSession: &lockstepv1.GetSession{Session: uint64(s.id)}}
	s.link.submit(&f.call)
}

// overdue implements asker: without the state there is no belief, so it is asked
// for as long as the session lives.
func (f *fetch) overdue(*call) bool { return false }

// answered implements asker.
func (f *fetch) answered(_ *call, answer *lockstepv1.NodeFrame, err error) {
	s := f.s
	if r := answer.GetRefusal(); r != nil && sessionOver(r) {
		s.over(refused("session", "", r))
		return
	}
	state := answer.GetSessionState()
	if state == nil {
		s.client.log.Error("a session's state could not be fetched", "session", s.id, "why", err)
		s.mu.Lock()
		s.fetching, s.again = false, false
		s.mu.Unlock()
		return
	}
	if over := s.applyState(state, f.first); over != nil {
		s.over(over)
	}
}

// boundAt follows the binding on a connection: events after p will come.
func (s *Session) boundAt(p Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return
	}
	if len(s.grants) == 0 && len(s.acquires) == 0 && !s.fetching {
		// Nothing that could have changed meanwhile.
		s.seen, s.synced = later(s.seen, p), true
		s.believeLocked(s.client.now())
		return
	}
	if !s.fetching {
		s.fetchLocked()
	}
}

// disconnected: from now on events may be missed.
func (s *Session) disconnected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced, s.heldBack = false, nil
}

// pushed processes events in the order of the log.
func (s *Session) pushed(events *lockstepv1.SessionEvents) {
	s.mu.Lock()
	if s.cause != nil {
		s.mu.Unlock()
		return
	}
	if s.fetching || !s.synced {
		if len(s.heldBack) >= MaxHeldBackPushes {
			s.heldBack, s.again = nil, true
		}
		s.heldBack = append(s.heldBack, events)
		s.mu.Unlock()
		return
	}
	over := s.processLocked(events)
	if over == nil && s.claim != nil {
		s.believeLocked(s.client.now())
	}
	s.mu.Unlock()
	if over != nil {
		s.over(over)
	}
}

func (s *Session) processLocked(events *lockstepv1.SessionEvents) (over *Error) {
	for _, e := range events.GetEvents() {
		at := position(e.GetPosition())
		if at.Compare(s.seen) <= 0 {
			continue
		}
		s.seen = at
		if over := s.eventLocked(e, at); over != nil {
			return over
		}
	}
	s.seen = later(s.seen, position(events.GetThrough()))
	return nil
}

// eventLocked applies one event of the session.
func (s *Session) eventLocked(e *lockstepv1.Event, at Position) (over *Error) {
	switch e.GetKind() {
	case lockstepv1.EventKind_EVENT_KIND_GRANTED:
		// Without a sequence it was granted at once, and the answer tells.
		if e.GetSequence() != 0 {
			s.grantEventLocked(e, at)
		}
	case lockstepv1.EventKind_EVENT_KIND_GRANT_ENDED:
		s.endEventLocked(e)
	case lockstepv1.EventKind_EVENT_KIND_WAIT_ENDED:
		if a := s.acquires[e.GetSequence()]; a != nil {
			a.waitEndedLocked(e.GetReason())
		}
	case lockstepv1.EventKind_EVENT_KIND_SESSION_TAKEN_OVER:
		if e.GetIncarnation() > s.incarnation {
			return &Error{Op: "session", Err: ErrSuperseded}
		}
	case lockstepv1.EventKind_EVENT_KIND_SESSION_EXPIRED, lockstepv1.EventKind_EVENT_KIND_SESSION_ENDED,
		lockstepv1.EventKind_EVENT_KIND_SESSION_GONE:
		return s.overLocked()
	case lockstepv1.EventKind_EVENT_KIND_SESSION_JEOPARDY, lockstepv1.EventKind_EVENT_KIND_SESSION_ALIVE:
		// What the log thinks of the session's silence; belief goes by its own rules.
	case lockstepv1.EventKind_EVENT_KIND_SESSION_OPENED, lockstepv1.EventKind_EVENT_KIND_SESSION_LEFT,
		lockstepv1.EventKind_EVENT_KIND_QUEUED, lockstepv1.EventKind_EVENT_KIND_REENTERED,
		lockstepv1.EventKind_EVENT_KIND_LEFT_ONCE, lockstepv1.EventKind_EVENT_KIND_CLOSED,
		lockstepv1.EventKind_EVENT_KIND_REOPENED, lockstepv1.EventKind_EVENT_KIND_TENURE_BEGAN,
		lockstepv1.EventKind_EVENT_KIND_UNSPECIFIED:
		// Told by the answers, or nothing that the client acts on.
	}
	return nil
}

// grantEventLocked follows a grant after a wait.
func (s *Session) grantEventLocked(e *lockstepv1.Event, at Position) {
	g := &lockstepv1.Grant{
		Path: e.GetPath(), Session: e.GetSession(), Owner: e.GetOwner(), Mode: e.GetMode(),
		Token: e.GetToken(), Floor: e.GetFloor(), Count: e.GetCount(), Waiter: e.GetWaiter(),
		Since: e.GetPosition(), SinceNs: e.GetTimeNs(), UntilNs: e.GetUntilNs(),
	}
	if a := s.acquires[e.GetSequence()]; a != nil {
		s.grantedLocked(a, g, at, belief.Reading{}, 0 /* what remains of the hold is asked for */)
		return
	}
	if s.grants[Token(g.GetToken())] == nil {
		// Nobody waits for it here: its acquire was withdrawn, and the answer to
		// that releases it.
		s.grants[Token(g.GetToken())] = &held{info: grantInfo(g), capped: g.GetUntilNs() != 0, holdKnown: g.GetUntilNs() == 0}
	}
}

func (s *Session) endEventLocked(e *lockstepv1.Event) {
	token := Token(e.GetToken())
	h := s.grants[token]
	switch {
	case h == nil && len(s.acquires) > 0:
		if s.endedEarly == nil {
			s.endedEarly = make(map[Token]struct{})
		}
		s.endedEarly[token] = struct{}{}
	case h == nil:
		s.endedEarly = nil
	case h.lowered != nil && e.GetReason() == lockstepv1.EndReason_END_REASON_RELEASED:
		delete(s.grants, token)
	default:
		s.loseLocked(h, EndReason(e.GetReason()).String())
	}
}

// waitEndedLocked follows the end of the wait without a grant.
func (a *acquire) waitEndedLocked(reason lockstepv1.EndReason) {
	switch reason {
	case lockstepv1.EndReason_END_REASON_WAIT_TIMED_OUT:
		a.finishLocked(&Error{Op: "acquire", Path: a.lock.path, Err: ErrTimeout})
	case lockstepv1.EndReason_END_REASON_CANCELLED:
		a.finishLocked(a.withdrawn())
	case lockstepv1.EndReason_END_REASON_SESSION_EXPIRED, lockstepv1.EndReason_END_REASON_SESSION_ENDED:
		a.finishLocked(&Error{Op: "acquire", Path: a.lock.path, Err: ErrSessionExpired})
	case lockstepv1.EndReason_END_REASON_RELEASED, lockstepv1.EndReason_END_REASON_HOLD_ENDED,
		lockstepv1.EndReason_END_REASON_UNSPECIFIED:
		a.finishLocked(&Error{Op: "acquire", Path: a.lock.path, Err: ErrLost, Detail: "the wait ended: " + EndReason(reason).String()})
	}
}

// applyState makes the session agree with the state that was asked for at the
// reading, then processes what was held back.
func (s *Session) applyState(state *lockstepv1.SessionState, asked belief.Reading) (over *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return nil
	}
	s.fetching = false
	switch info := state.GetSession(); {
	case info.GetIncarnation() > s.incarnation:
		return &Error{Op: "session", Err: ErrSuperseded}
	case info.GetState() == lockstepv1.SessionStateKind_SESSION_STATE_KIND_EXPIRED:
		return s.overLocked()
	}
	at := position(state.GetPosition())
	if at.Compare(s.seen) >= 0 {
		s.stateAt, s.seen = at, at
		s.adoptGrantsLocked(state, at, asked)
		s.settleWaitsLocked(state, at)
	}
	s.fetchedAt = s.client.mono().Now()
	s.synced = s.boundNow()
	pushes := s.heldBack
	s.heldBack = nil
	for _, p := range pushes {
		if over := s.processLocked(p); over != nil {
			return over
		}
	}
	if s.again {
		s.again = false
		s.fetchLocked()
	}
	s.believeLocked(s.client.now())
	return nil
}

func (s *Session) boundNow() bool {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	return s.bound != nil
}

// adoptGrantsLocked takes over what the state at a position says is held.
func (s *Session) adoptGrantsLocked(state *lockstepv1.SessionState, at Position, asked belief.Reading) {
	standing := make(map[Token]bool, len(state.GetGrants()))
	for _, hg := range state.GetGrants() {
		info := grantInfo(hg.GetGrant())
		standing[info.Token] = true
		h := s.grants[info.Token]
		if h == nil {
			h = &held{info: info, capped: info.Until != 0, holdKnown: info.Until == 0}
			s.grants[info.Token] = h
		}
		if !h.holdKnown {
			h.hold = belief.Since(asked, belief.HoldLength(time.Duration(hg.GetHoldRemainingNs())))
			h.holdKnown = true
		}
	}
	for token, h := range s.grants {
		// A grant that was answered after the state was taken is not missing.
		if !standing[token] && h.info.Since.Compare(at) <= 0 {
			if h.lowered != nil {
				delete(s.grants, token)
				continue
			}
			s.loseLocked(h, "the service does not know the grant any more")
		}
	}
}

// settleWaitsLocked ends the waits that the state shows to be over.
func (s *Session) settleWaitsLocked(state *lockstepv1.SessionState, at Position) {
	waiting := make(map[uint64]bool, len(state.GetWaiters()))
	for _, w := range state.GetWaiters() {
		waiting[w.GetSequence()] = true
	}
	ended := make(map[uint64]*lockstepv1.WaitOutcome, len(state.GetEnded()))
	for _, o := range state.GetEnded() {
		ended[o.GetSequence()] = o
	}
	for sequence, a := range s.acquires {
		o := ended[sequence]
		switch {
		case a.held != nil || waiting[sequence]:
		case o == nil && a.queued && a.queuedAt.Compare(at) <= 0:
			a.finishLocked(&Error{Op: "acquire", Path: a.lock.path, Err: ErrOutcomeUnknown, Detail: "the wait is over, and the service has forgotten how it ended"})
		case o == nil:
			// Not decided yet as far as is known: its answer tells.
		case o.GetToken() == 0:
			a.waitEndedLocked(o.GetReason())
		case s.grants[Token(o.GetToken())] == nil:
			a.finishLocked(&Error{Op: "acquire", Path: a.lock.path, Err: ErrLost, Detail: "it was granted, and ended before this client heard of it"})
		default:
			// Also where the answer that it waits was lost: once the state has been
			// seen the service forgets how the wait ended.
			a.deliverLocked(s.grants[Token(o.GetToken())])
		}
	}
}

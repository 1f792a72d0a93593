package client

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/client/belief"
)

// Session is a client's life on the service. Its methods may be called from any
// goroutine.
type Session struct {
	client  *Client
	link    *link
	id      SessionID
	lineage uint64
	secret  []byte
	// incarnation is the process's own: a take-over by another raises the one in
	// the log and ends this Session.
	incarnation uint32

	ctx    context.Context
	cancel context.CancelCauseFunc

	// Guarded by link.mu.

	// bound is the connection that speaks for the session, binding the one that is
	// about to.
	bound, binding *conn
	nextBeat       time.Time
	interval       time.Duration
	beatTries      int
	// quiet: no heartbeat is sent any more.
	quiet bool

	mu sync.Mutex
	// ttl and grace as the service has told last.
	ttl, grace time.Duration
	state      State
	// cause is why the session is over; nil while it is not.
	cause error
	// resigned: End or Leave was called; nothing is believed any more.
	resigned bool
	// span is the belief in the session, grantSpan that in its grants: it is not
	// extended while a change to them is known to be unheard.
	span, grantSpan belief.Span
	claim           *claim

	window window
	// spare are sequences below the window's last that no node has executed.
	spare   []uint64
	backlog []*request

	// seen: every event of the session up to here has been processed. told: so has
	// every answer, on a stream that lost nothing. stateAt is where the state was
	// fetched last.
	seen, told, stateAt Position
	// synced: nothing can have been missed since the session was bound.
	synced, fetching, again bool
	heldBack                []*lockstepv1.SessionEvents
	fetchedAt               time.Time

	grants map[Token]*held
	// watched are the grants with a context to be cancelled.
	watched map[*held]struct{}
	// acquires that have not come to an end, by sequence.
	acquires map[uint64]*acquire
	// granted and not believed in: acquires that wait for belief.
	disbelieved []*acquire
	// endedEarly are tokens whose end was heard of before their grant.
	endedEarly map[Token]struct{}
	nextOwner  OwnerID

	alarm     clockwork.Timer
	alarmAt   time.Time
	listeners []chan SessionEvent
}

// claim is an acknowledged heartbeat whose grants position is ahead of what this
// client has processed.
type claim struct {
	span  belief.Span
	upTo  Position
	since time.Time
}

// Credential is what another process needs to take a session over. Whoever has it
// and a certificate of the same principal owns the session: keep it secret.
type Credential struct {
	Lineage     uint64    `json:"lineage"`
	Session     SessionID `json:"session"`
	Incarnation uint32    `json:"incarnation"`
	Secret      []byte    `json:"secret"`
}

// SessionEvent is a change of a session's state.
type SessionEvent struct {
	State State
	// At is when it was noticed, on the process's clock.
	At time.Time
	// Cause says why, with StateExpired.
	Cause error
}

// ID names the session.
func (s *Session) ID() SessionID { return s.id }

// TTL is how long after the last heartbeat the service frees what the session holds.
func (s *Session) TTL() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ttl
}

// Grace is the last part of the TTL, in which the client no longer believes.
func (s *Session) Grace() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grace
}

// State is ALIVE while the client believes in the session, JEOPARDY while it does
// not and may recover everything, EXPIRED once it is over for this client.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookLocked(s.client.now())
	return s.state
}

// BelievesUntil is until when the client believes in the session, as far as is
// known now: an instant of this process's clock; zero when it does not believe.
// Heartbeats move it; a suspended machine or a wall clock set forward shorten it.
func (s *Session) BelievesUntil() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.client.now()
	if s.cause != nil || s.resigned {
		return time.Time{}
	}
	return until(now, s.span.Remaining(now))
}

func until(now belief.Reading, left time.Duration) time.Time {
	if left <= 0 {
		return time.Time{}
	}
	return now.Mono.Add(left)
}

// Context ends when the session is over for this client, not at JEOPARDY;
// context.Cause says why.
func (s *Session) Context() context.Context { return s.ctx }

// Events delivers the current state, then each change, and is closed after
// EXPIRED. A reader that is MaxSessionEvents behind misses the oldest.
func (s *Session) Events() <-chan SessionEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := make(chan SessionEvent, MaxSessionEvents)
	events <- SessionEvent{State: s.state, At: s.client.mono().Now(), Cause: s.cause}
	if s.state == StateExpired {
		close(events)
		return events
	}
	s.listeners = append(s.listeners, events)
	return events
}

// Credential is what another process needs to take the session over.
func (s *Session) Credential() Credential {
	return Credential{
		Lineage: s.lineage, Session: s.id, Incarnation: s.incarnation, Secret: slices.Clone(s.secret),
	}
}

// Grants are the acquisitions that stand, in order of token; after a take-over
// also those that earlier processes made.
func (s *Session) Grants() []*Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Grant
	for _, h := range s.grants {
		if h.lowered == nil {
			all = append(all, h.handles...)
		}
	}
	slices.SortStableFunc(all, func(a, b *Grant) int { return cmp.Compare(a.held.info.Token, b.held.info.Token) })
	return all
}

// enterLocked moves to a state and tells the listeners.
func (s *Session) enterLocked(state State, at time.Time) {
	if s.state == state {
		return
	}
	s.state = state
	e := SessionEvent{State: state, At: at, Cause: s.cause}
	for _, l := range s.listeners {
		select {
		case l <- e:
			continue
		default:
		}
		select {
		case <-l: // the oldest makes room
		default:
		}
		select {
		case l <- e:
		default:
		}
	}
	if state == StateExpired {
		for _, l := range s.listeners {
			close(l)
		}
		s.listeners = nil
	}
}

// lookLocked notices what time has done: belief that ended, contexts to cancel.
func (s *Session) lookLocked(now belief.Reading) {
	if s.cause != nil {
		return
	}
	if s.span.Remaining(now) > 0 && !s.resigned {
		s.enterLocked(StateAlive, now.Mono)
	} else {
		s.enterLocked(StateJeopardy, now.Mono)
	}
	for h := range s.watched {
		if s.leftLocked(h, now) <= 0 {
			s.disbelieveLocked(h, &Error{Op: "hold", Path: h.info.Path, Err: ErrLost, Detail: s.whyLostLocked(h, now)})
		}
	}
	s.armLocked(now)
}

func (s *Session) whyLostLocked(h *held, now belief.Reading) string {
	if h.capped && h.hold.Remaining(now) <= 0 {
		return "the hold has ended"
	}
	return "no heartbeat was acknowledged in time"
}

// armLocked sets the alarm to the next end of a belief.
func (s *Session) armLocked(now belief.Reading) {
	next := s.span.Remaining(now)
	consider := func(left time.Duration) {
		if left > 0 && (next <= 0 || left < next) {
			next = left
		}
	}
	consider(s.grantSpan.Remaining(now))
	for h := range s.watched {
		consider(s.leftLocked(h, now))
	}
	if next <= 0 {
		return
	}
	at := now.Mono.Add(next)
	if s.alarm != nil && s.alarmAt.After(now.Mono) && !at.Before(s.alarmAt) {
		return // it rings before, and is set anew then
	}
	if s.alarm != nil {
		s.alarm.Stop()
	}
	s.alarmAt = at
	s.alarm = s.client.mono().AfterFunc(next, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lookLocked(s.client.now())
	})
}

// leftLocked is for how long from now on the client believes in the grant.
func (s *Session) leftLocked(h *held, now belief.Reading) time.Duration {
	if s.cause != nil || s.resigned || h.lowered != nil || !h.holdKnown {
		return 0
	}
	left := s.grantSpan.Remaining(now)
	if h.capped {
		left = min(left, h.hold.Remaining(now))
	}
	return left
}

// acknowledged extends belief by a heartbeat that the service has acknowledged.
func (s *Session) acknowledged(from belief.Reading, r *lockstepv1.HeartbeatResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || s.resigned {
		return
	}
	if r.GetTtlNs() > 0 {
		s.ttl, s.grace = time.Duration(r.GetTtlNs()), time.Duration(r.GetGraceNs())
	}
	now := s.client.now()
	span := belief.Since(from, belief.SessionLength(s.ttl, s.grace))
	s.span = belief.Later(s.span, span, now)
	if upTo := position(r.GetGrantsPosition()); s.heardLocked(upTo) {
		s.grantSpan = belief.Later(s.grantSpan, span, now)
		s.claim = nil
	} else {
		// Usually the events are on their way on the other stream; the sweep fetches
		// the state if they are not.
		s.claim = &claim{span: span, upTo: upTo, since: now.Mono}
	}
	s.believeLocked(now)
}

// heardLocked tells whether everything up to p has been processed.
func (s *Session) heardLocked(p Position) bool {
	return p.Compare(s.seen) <= 0 || s.synced && p.Compare(s.told) <= 0
}

// believeLocked follows a change that may have raised belief.
func (s *Session) believeLocked(now belief.Reading) {
	if s.claim != nil && s.heardLocked(s.claim.upTo) {
		s.grantSpan = belief.Later(s.grantSpan, s.claim.span, now)
		s.claim = nil
	}
	s.lookLocked(now)
	waiting := s.disbelieved[:0]
	for _, a := range s.disbelieved {
		if s.leftLocked(a.held, now) > 0 {
			a.finishLocked(nil)
		} else {
			waiting = append(waiting, a)
		}
	}
	clear(s.disbelieved[len(waiting):])
	s.disbelieved = waiting
}

// sweep does what is due from time to time.
func (s *Session) sweep(now time.Time) {
	s.mu.Lock()
	if s.cause != nil {
		s.mu.Unlock()
		return
	}
	s.lookLocked(s.client.now())
	unheard := s.claim != nil && now.Sub(s.claim.since) >= sweepInterval
	// A grant that nobody told of is found by asking.
	asleep := len(s.acquires) > 0 && now.Sub(s.fetchedAt) >= s.ttl
	if unheard || asleep {
		s.fetchLocked()
	}
	var late []*request
	for _, r := range s.backlog {
		if !r.deadline.IsZero() && !now.Before(r.deadline) {
			r.deadline = time.Time{}
			late = append(late, r)
		}
	}
	s.mu.Unlock()
	for _, r := range late {
		if r.asker.overdue(&r.call) {
			s.mu.Lock()
			s.backlog = slices.DeleteFunc(s.backlog, func(b *request) bool { return b == r })
			s.mu.Unlock()
		}
	}
}

// over ends the session for this client, for good.
func (s *Session) over(why *Error) {
	s.mu.Lock()
	if s.cause != nil {
		s.mu.Unlock()
		return
	}
	s.cause = why
	for _, h := range s.grants {
		s.disbelieveLocked(h, &Error{Op: "hold", Path: h.info.Path, Err: ErrLost, Cause: why})
		if h.lowered == nil {
			h.lowered = why
		}
	}
	backlog := s.backlog
	s.backlog, s.heldBack, s.claim = nil, nil, nil
	if s.alarm != nil {
		s.alarm.Stop()
	}
	s.enterLocked(StateExpired, s.client.mono().Now())
	s.mu.Unlock()

	s.cancel(why)
	for _, c := range s.link.forget(s) {
		c.asker.answered(c, nil, why)
	}
	for _, r := range backlog {
		r.asker.answered(&r.call, nil, why)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.acquires {
		a.finishLocked(ofSession("acquire", a.lock.path, why))
	}
	s.disbelieved = nil
}

// ofSession is the error of an operation whose session is over.
func ofSession(op, path string, why error) error {
	var e *Error
	if ok := asError(why, &e); !ok {
		return &Error{Op: op, Path: path, Err: ErrSessionExpired, Cause: why}
	}
	return &Error{Op: op, Path: path, Err: e.Err, Detail: e.Detail, Cause: e.Cause}
}

package client

import (
	"context"
	"errors"
	"slices"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/client/belief"
)

// acquire is one wish for a lock, from the request to the grant or to the
// certainty that there is none. All in one allocation.
type acquire struct {
	request
	body lockstepv1.ClientFrame_Acquire
	msg  lockstepv1.Acquire
	lock *Lock
	// ready is closed when grant or err is there.
	ready chan struct{}

	// Guarded by Session.mu until ready is closed.

	grant *Grant
	err   error
	done  bool
	// queued at queuedAt as waiter, which also ends the request's patience.
	queued   bool
	queuedAt Position
	// held was granted; the handle comes with belief.
	held *held
	// abandoned: nobody waits any more; what is granted is released.
	abandoned bool
	// disposed: the stray grant is being released.
	disposed bool
}

func newAcquire(l *Lock, wait time.Duration) *acquire {
	a := &acquire{lock: l, ready: make(chan struct{})}
	a.asker = a
	a.timed = l.options.hold > 0
	a.msg.Header = &a.header
	a.msg.Owner = uint64(l.options.owner)
	a.msg.Path = l.path
	a.msg.Mode = lockstepv1.Mode(l.options.mode)
	a.msg.WaitNs, a.msg.HoldNs, a.msg.DelayNs = int64(wait), int64(l.options.hold), int64(l.options.delay)
	a.body.Acquire = &a.msg
	a.frame.Body = &a.body
	return a
}

// begin issues the acquire.
func (s *Session) begin(a *acquire) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return ofSession("acquire", a.lock.path, s.cause)
	}
	if s.resigned {
		return &Error{Op: "acquire", Path: a.lock.path, Err: ErrSessionExpired, Detail: "the session is being ended"}
	}
	s.issueLocked(&a.request)
	return nil
}

// finishLocked lets the waiting goroutine go, with the grant if err is nil.
func (a *acquire) finishLocked(err error) {
	if a.done {
		return
	}
	a.done = true
	if !a.abandoned {
		delete(a.lock.session.acquires, a.sequence)
	} // else news of its grant must still find it, until its cancellation is answered
	a.err = err
	if err != nil && a.grant != nil {
		a.grant.detachLocked()
		a.grant = nil
	}
	close(a.ready)
}

// answered implements asker.
func (a *acquire) answered(_ *call, f *lockstepv1.NodeFrame, err error) {
	s := a.lock.session
	if over := a.decide(f, err); over != nil {
		s.over(over)
	}
}

func (a *acquire) decide(f *lockstepv1.NodeFrame, err error) (over *Error) {
	s, path := a.lock.session, a.lock.path
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.doneLocked(a.sequence)
	if err != nil {
		a.finishLocked(failure("acquire", path, s, err))
		return nil
	}
	switch body := f.GetBody().(type) {
	case *lockstepv1.NodeFrame_Granted:
		g := body.Granted
		// Whatever remained at the grant, which came after the first sending.
		s.grantedLocked(a, g.GetGrant(), position(g.GetPosition()), a.first, time.Duration(g.GetHoldRemainingNs()))
		s.toldLocked(g.GetPosition())
	case *lockstepv1.NodeFrame_Queued:
		a.queued, a.queuedAt = true, position(body.Queued.GetPosition())
		s.toldLocked(body.Queued.GetPosition())
	case *lockstepv1.NodeFrame_Refusal:
		r := body.Refusal
		refusal := refused("acquire", path, r)
		s.toldLocked(r.GetPosition())
		a.finishLocked(refusal)
		if sessionOver(r) {
			return refusal
		}
	default:
		a.finishLocked(unexpected("acquire", path, f))
	}
	return nil
}

// overdue implements asker: the caller is told, the request is withdrawn.
func (a *acquire) overdue(*call) bool {
	s := a.lock.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.done || a.queued || a.held != nil {
		return false
	}
	uncertain, problem := a.abandonLocked()
	a.finishLocked(a.undecided(uncertain, problem, nil))
	return false // abandoning has discarded the call if that is right
}

// undecided is the error of an acquire that nobody has answered.
func (a *acquire) undecided(uncertain bool, problem, why error) *Error {
	e := unavailable(problem)
	e.Op, e.Path = "acquire", a.lock.path
	if uncertain {
		e.Detail = "it is being withdrawn in the background"
		e.Cause = errors.Join(ErrOutcomeUnknown, e.Cause)
	}
	if why != nil {
		e.Cause = errors.Join(why, e.Cause)
	}
	return e
}

// failure is the error of a request that ended without a decision of its own.
func failure(op, path string, s *Session, err error) error {
	if s.cause != nil {
		return ofSession(op, path, s.cause)
	}
	var e *Error
	if asError(err, &e) && (errors.Is(e.Err, ErrSessionExpired) || errors.Is(e.Err, ErrSuperseded)) {
		return ofSession(op, path, e)
	}
	return ofOperation(op, path, err)
}

// grantedLocked follows the news of a grant for a, told at position at: counted
// from a reading, remaining is left of its hold.
func (s *Session) grantedLocked(a *acquire, g *lockstepv1.Grant, at Position, from belief.Reading, remaining time.Duration) {
	token := Token(g.GetToken())
	h := s.grants[token]
	if h != nil && errors.Is(h.lowered, ErrReleased) {
		// A release of this process is still on its way, and this acquire entered the
		// grant again before it: one acquisition stands, and belief begins anew. The
		// contexts of before stay cancelled.
		h = &held{info: grantInfo(g), capped: h.capped, holdKnown: h.holdKnown, hold: h.hold}
		s.grants[token] = h
	}
	if h == nil {
		_, ended := s.endedEarly[token]
		if ended || at.Compare(s.stateAt) <= 0 {
			// Its end was heard of before the grant itself.
			a.finishLocked(&Error{Op: "acquire", Path: a.lock.path, Err: ErrLost, Detail: "it was granted, and ended before this client heard of it"})
			return
		}
		h = &held{info: grantInfo(g), capped: g.GetUntilNs() != 0}
		s.grants[token] = h
	}
	if !h.capped {
		h.holdKnown = true
	} else if remaining > 0 && (!h.holdKnown || len(h.handles) == 0) {
		// For a grant at once the first sending counts, also where the state told of
		// it before the answer's retry did.
		h.hold, h.holdKnown = belief.Since(from, belief.HoldLength(remaining)), true
	}
	a.deliverLocked(h)
}

// deliverLocked hands the grant over once it is believed in.
func (a *acquire) deliverLocked(h *held) {
	s := a.lock.session
	if a.disposed || a.grant != nil || a.done && !a.abandoned {
		return
	}
	if a.abandoned {
		a.disposed = true
		s.releaseLocked(h, nil)
		a.finishLocked(a.withdrawn())
		return
	}
	a.held = h
	a.grant = &Grant{session: s, lock: a.lock, held: h}
	h.handles = append(h.handles, a.grant)
	if !h.holdKnown {
		s.fetchLocked()
	}
	now := s.client.now()
	if s.leftLocked(h, now) > 0 {
		a.finishLocked(nil)
	} else if h.lowered != nil {
		a.finishLocked(h.lowered)
	} else {
		s.disbelieved = append(s.disbelieved, a)
	}
}

// withdrawn is the error of an acquire that certainly holds nothing.
func (a *acquire) withdrawn() *Error {
	return &Error{Op: "acquire", Path: a.lock.path, Err: ErrTimeout, Detail: "the request was withdrawn"}
}

// withdraw gives the acquire up because ctx has ended, and returns when it is
// known what became of it or the patience for that is up.
func (a *acquire) withdraw(ctx context.Context) {
	s := a.lock.session
	s.mu.Lock()
	if a.done {
		s.mu.Unlock()
		return
	}
	why := context.Cause(ctx)
	uncertain, problem := a.abandonLocked()
	if !uncertain {
		a.finishLocked(a.undecided(false, problem, why))
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()

	timer := s.client.mono().NewTimer(cancelPatience)
	defer timer.Stop()
	select {
	case <-a.ready:
	case <-timer.Chan():
		s.mu.Lock()
		if a.queued {
			a.finishLocked(&Error{Op: "acquire", Path: a.lock.path, Err: ErrOutcomeUnknown, Detail: "it is being withdrawn in the background", Cause: why})
		} else {
			a.finishLocked(a.undecided(true, problem, why))
		}
		s.mu.Unlock()
		return
	}
	// The reason is the caller's context, whichever way the answer came.
	var e *Error
	if asError(a.err, &e) && e.Cause == nil {
		named := *e
		named.Cause = why
		a.err = &named
	}
}

// abandonLocked sees to it that nothing is left behind: the request is cancelled,
// and released if it was granted. It tells whether it may have taken effect, and
// why it was not answered.
func (a *acquire) abandonLocked() (uncertain bool, problem error) {
	s := a.lock.session
	if a.abandoned {
		return true, nil
	}
	if a.held == nil {
		a.abandoned = true
	}
	switch {
	case a.held != nil:
		// Granted already, and waiting for belief.
		a.disposed = true
		s.disbelieved = slices.DeleteFunc(s.disbelieved, func(d *acquire) bool { return d == a })
		a.finishLocked(a.withdrawn())
		s.releaseLocked(a.held, nil)
		return true, nil
	case a.sequence == 0:
		s.backlog = slices.DeleteFunc(s.backlog, func(r *request) bool { return r == &a.request })
		_, problem = a.standing()
		return false, problem
	}
	_, problem = a.standing()
	if !a.queued && s.link.giveUp(&a.call, s.roomLocked()) {
		// Nobody has heard of the sequence: another request may have it.
		delete(s.acquires, a.sequence)
		s.spareLocked(a.sequence)
		return false, problem
	}
	// The answer to the cancellation decides, and the acquire is not sent again;
	// unless the window is full, when only its own answer can make room.
	if s.cause == nil {
		s.issueLocked(&newCancel(a).request)
	}
	return true, problem
}

// cancel withdraws an acquire, whether or not it has arrived.
type cancel struct {
	request
	body lockstepv1.ClientFrame_Cancel
	msg  lockstepv1.Cancel
	of   *acquire
}

func newCancel(a *acquire) *cancel {
	c := &cancel{of: a}
	c.asker = c
	c.msg.Header, c.msg.Target = &c.header, a.sequence
	c.body.Cancel = &c.msg
	c.frame.Body = &c.body
	return c
}

// answered implements asker.
func (c *cancel) answered(_ *call, f *lockstepv1.NodeFrame, err error) {
	a, s := c.of, c.of.lock.session
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.doneLocked(c.sequence)
	answer := f.GetCancelled()
	if err != nil || answer == nil {
		if err == nil {
			err = refused("acquire", a.lock.path, f.GetRefusal())
		}
		a.finishLocked(failure("acquire", a.lock.path, s, err))
		return
	}
	s.doneLocked(a.sequence)
	delete(s.acquires, a.sequence)
	s.toldLocked(answer.GetPosition())
	if answer.GetOutcome() == lockstepv1.Cancelled_OUTCOME_GRANTED && !a.disposed {
		a.disposed = true
		g := answer.GetGrant()
		h := s.grants[Token(g.GetToken())]
		if h == nil {
			h = &held{info: grantInfo(g), capped: g.GetUntilNs() != 0}
			s.grants[h.info.Token] = h
		}
		s.releaseLocked(h, nil)
	}
	a.finishLocked(a.withdrawn())
}

// overdue implements asker: a withdrawal goes on for as long as the session lives.
func (c *cancel) overdue(*call) bool { return false }

package client

import (
	"context"
	"errors"
	"slices"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// release gives one acquisition back. It is repeated until the service has
// decided it or the session is over, whether or not anybody still waits.
type release struct {
	request
	body lockstepv1.ClientFrame_Release
	msg  lockstepv1.Release
	s    *Session
	held *held
	// handle is the acquisition's, nil if it never had one.
	handle *Grant

	// Guarded by Session.mu.

	waiters []chan error
	// done with err, which somebody has been told.
	done, told bool
	err        error
}

// Release gives the acquisition back. The process stops believing in it before
// the request leaves. ErrNotHeld: it was released before, or had ended. When ctx
// or the patience ends first the error is ErrOutcomeUnknown and the release goes
// on in the background; calling it again tells what became of it.
func (g *Grant) Release(ctx context.Context) error {
	s := g.session
	s.mu.Lock()
	r := g.release
	switch {
	case r == nil && s.cause != nil:
		s.mu.Unlock()
		return ofSession("release", g.Path(), s.cause)
	case r == nil && s.grants[g.Token()] != g.held:
		why := g.held.lowered
		s.mu.Unlock()
		return &Error{Op: "release", Path: g.Path(), Err: ErrNotHeld, Cause: why}
	case r == nil:
		r = s.releaseLocked(g.held, g)
	case r.done && r.told:
		s.mu.Unlock()
		return &Error{Op: "release", Path: g.Path(), Err: ErrNotHeld, Cause: ErrReleased}
	}
	if g.lock != nil {
		g.lock.forget(g)
	}
	if r.done {
		defer s.mu.Unlock()
		r.told = true
		return r.err
	}
	waiter := make(chan error, 1)
	r.waiters = append(r.waiters, waiter)
	s.mu.Unlock()
	select {
	case err := <-waiter:
		return err
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		select {
		case err := <-waiter: // at the same moment
			return err
		default:
		}
		r.waiters = slices.DeleteFunc(r.waiters, func(w chan error) bool { return w == waiter })
		return &Error{
			Op: "release", Path: g.Path(), Err: ErrOutcomeUnknown,
			Detail: "it goes on in the background", Cause: context.Cause(ctx),
		}
	}
}

// detachLocked takes the handle from its grant.
func (g *Grant) detachLocked() {
	h := g.held
	h.handles = slices.DeleteFunc(h.handles, func(other *Grant) bool { return other == g })
}

// releaseLocked releases one acquisition of h, that of the handle g if there is
// one. Belief ends before the request leaves, unless other acquisitions stand.
func (s *Session) releaseLocked(h *held, g *Grant) *release {
	r := newRelease(s, h)
	if g != nil {
		g.release, r.handle = r, g
		g.detachLocked()
	}
	if len(h.handles) == 0 {
		s.lowerLocked(h, ErrReleased)
	}
	if s.cause != nil {
		r.done, r.err = true, ofSession("release", h.info.Path, s.cause)
		return r
	}
	s.issueLocked(&r.request)
	return r
}

func newRelease(s *Session, h *held) *release {
	r := &release{s: s, held: h}
	r.asker = r
	r.msg.Header = &r.header
	r.msg.Owner, r.msg.Path, r.msg.Token = uint64(h.info.Owner), h.info.Path, uint64(h.info.Token)
	r.body.Release = &r.msg
	r.frame.Body = &r.body
	return r
}

// answered implements asker.
func (r *release) answered(_ *call, f *lockstepv1.NodeFrame, err error) {
	if over := r.decide(f, err); over != nil {
		r.s.over(over)
	}
}

func (r *release) decide(f *lockstepv1.NodeFrame, err error) (over *Error) {
	s, path := r.s, r.held.info.Path
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.doneLocked(r.sequence)
	if err != nil {
		r.finishLocked(failure("release", path, s, err))
		return nil
	}
	switch body := f.GetBody().(type) {
	case *lockstepv1.NodeFrame_Released:
		s.toldLocked(body.Released.GetPosition())
		if body.Released.GetRemaining() == 0 {
			s.goneLocked(r.held)
		}
		r.finishLocked(nil)
	case *lockstepv1.NodeFrame_Refusal:
		refusal := refused("release", path, body.Refusal)
		s.toldLocked(body.Refusal.GetPosition())
		switch {
		case body.Refusal.GetReason() == lockstepv1.Reason_REASON_EMBARGOED:
			r.laterLocked(refusal.RetryAfter)
			return nil
		case errors.Is(refusal.Err, ErrNotHeld):
			s.goneLocked(r.held)
		}
		r.finishLocked(refusal)
		if sessionOver(body.Refusal) {
			return refusal
		}
	default:
		r.finishLocked(unexpected("release", path, f))
	}
	return nil
}

// goneLocked follows the service's word that the grant has ended.
func (s *Session) goneLocked(h *held) {
	if s.grants[h.info.Token] == h {
		delete(s.grants, h.info.Token)
	}
	s.lowerLocked(h, ErrReleased)
}

// laterLocked repeats a release that a recent take-over forbids for a while, with
// a sequence of its own: this one was decided.
func (r *release) laterLocked(after time.Duration) {
	s := r.s
	next := newRelease(s, r.held)
	next.waiters, r.waiters = r.waiters, nil
	if next.handle = r.handle; next.handle != nil {
		next.handle.release = next
	}
	s.retryLocked(&next.request, after)
}

// retryLocked issues a request again after a pause, as a new one.
func (s *Session) retryLocked(r *request, after time.Duration) {
	s.client.mono().AfterFunc(max(after, s.client.cfg.BackoffMin), func() {
		s.mu.Lock()
		why := s.cause
		if why == nil {
			s.issueLocked(r)
		}
		s.mu.Unlock()
		if why != nil {
			r.asker.answered(&r.call, nil, why)
		}
	})
}

func (r *release) finishLocked(err error) {
	if r.done {
		return
	}
	r.done, r.err, r.told = true, err, len(r.waiters) > 0
	r.tellLocked(err)
}

func (r *release) tellLocked(err error) {
	for _, w := range r.waiters {
		w <- err
	}
	r.waiters = nil
}

// overdue implements asker: whoever waits is told, the release goes on.
func (r *release) overdue(*call) bool {
	uncertain, problem := r.standing()
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	e := unavailable(problem)
	e.Op, e.Path, e.Detail = "release", r.held.info.Path, "it goes on in the background"
	if uncertain {
		e.Cause = errors.Join(ErrOutcomeUnknown, e.Cause)
	}
	r.tellLocked(e)
	return false
}

package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// errEnded is the cause where the application ended the session itself.
var errEnded = fmt.Errorf("the session was ended by its application: %w", ErrClosed)

// overLocked is the end of a session that the service tells of.
func (s *Session) overLocked() *Error {
	if s.resigned {
		return &Error{Op: "session", Err: ErrSessionExpired, Cause: errEnded}
	}
	return &Error{Op: "session", Err: ErrSessionExpired, Detail: "the service has ended it; open a new session"}
}

// farewell is the end of a session by its client: with all it holds, or leaving
// that to a process that takes it over.
type farewell struct {
	request
	s    *Session
	op   string
	done chan error
}

// End stops believing, releases everything and ends the session: what others wait
// for is granted at once. nil also when the session was over before. When ctx or
// the patience ends first, the error is ErrOutcomeUnknown; the end goes on in the
// background, and without heartbeats the session ends by its TTL at the latest.
func (s *Session) End(ctx context.Context) error {
	f := &farewell{s: s, op: "end session", done: make(chan error, 1)}
	f.frame.Body = &lockstepv1.ClientFrame_EndSession{EndSession: &lockstepv1.EndSession{Header: &f.header}}
	return f.say(ctx)
}

// Leave stops believing and leaves the session, with what it holds, to a process
// that takes it over before its TTL ends; that process need not wait until this
// one's belief would have ended.
func (s *Session) Leave(ctx context.Context) error {
	f := &farewell{s: s, op: "leave session", done: make(chan error, 1)}
	f.frame.Body = &lockstepv1.ClientFrame_LeaveSession{LeaveSession: &lockstepv1.LeaveSession{Header: &f.header}}
	return f.say(ctx)
}

func (f *farewell) say(ctx context.Context) error {
	f.asker = f
	s := f.s
	s.mu.Lock()
	if s.cause != nil {
		defer s.mu.Unlock()
		return f.tolerate(s.cause)
	}
	s.resigned = true
	now := s.client.now()
	for h := range s.watched {
		s.disbelieveLocked(h, &Error{Op: "hold", Path: h.info.Path, Err: ErrLost, Detail: "the session is being ended", Cause: ErrReleased})
	}
	s.lookLocked(now)
	// Acquires go down with the session.
	for _, a := range s.acquires {
		a.finishLocked(&Error{Op: "acquire", Path: a.lock.path, Err: ErrSessionExpired, Detail: "the session is being ended"})
	}
	s.issueLocked(&f.request)
	s.mu.Unlock()
	s.link.mu.Lock()
	s.quiet = true
	s.link.mu.Unlock()
	select {
	case err := <-f.done:
		return err
	case <-ctx.Done():
		return &Error{Op: f.op, Err: ErrOutcomeUnknown, Detail: "it goes on in the background", Cause: context.Cause(ctx)}
	}
}

// tolerate turns the news that the session was over into success.
func (f *farewell) tolerate(why error) error {
	if errors.Is(why, errEnded) || errors.Is(why, ErrSessionExpired) && !errors.Is(why, ErrClosed) {
		return nil
	}
	return ofSession(f.op, "", why)
}

func (f *farewell) tell(err error) {
	select {
	case f.done <- err:
	default:
	}
}

// answered implements asker.
func (f *farewell) answered(_ *call, answer *lockstepv1.NodeFrame, err error) {
	s := f.s
	s.mu.Lock()
	s.doneLocked(f.sequence)
	s.mu.Unlock()
	r := answer.GetRefusal()
	switch {
	case err != nil:
		f.tell(f.tolerate(err))
	case answer.GetDone() != nil:
		s.over(&Error{Op: "session", Err: ErrSessionExpired, Cause: errEnded})
		f.tell(nil)
	case r.GetReason() == lockstepv1.Reason_REASON_EMBARGOED:
		again := &farewell{s: s, op: f.op, done: f.done}
		again.asker = again
		switch body := f.frame.GetBody().(type) {
		case *lockstepv1.ClientFrame_EndSession:
			body.EndSession.Header = &again.header
			again.frame.Body = body
		case *lockstepv1.ClientFrame_LeaveSession:
			body.LeaveSession.Header = &again.header
			again.frame.Body = body
		}
		s.mu.Lock()
		s.retryLocked(&again.request, time.Duration(r.GetRetryAfterNs()))
		s.mu.Unlock()
	case r != nil:
		refusal := refused("session", "", r)
		f.tell(f.tolerate(refusal))
		if sessionOver(r) {
			s.over(refusal)
		}
	default:
		f.tell(unexpected(f.op, "", answer))
	}
}

// overdue implements asker.
func (f *farewell) overdue(*call) bool {
	_, why := f.standing()
	e := unavailable(why)
	e.Op, e.Detail, e.Cause = f.op, "it goes on in the background", errors.Join(ErrOutcomeUnknown, e.Cause)
	f.tell(e)
	return false
}

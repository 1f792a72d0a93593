package client

import (
	"context"

	"lockstep/client/belief"
)

// held is a grant of the session, shared by all acquisitions of its owner.
// Guarded by Session.mu.
type held struct {
	info GrantInfo
	// handles are the acquisitions of this process that were not released.
	handles []*Grant
	// capped: the grant has a hold, which belief counts in hold. holdKnown is
	// false until it is known what remains of it.
	capped, holdKnown bool
	hold              belief.Span
	// lowered is why this process does not believe in it any more, for good.
	lowered error
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

// contextLocked is the grant's context; a fresh one after belief came back.
func (s *Session) contextLocked(h *held, now belief.Reading) context.Context {
	believed := s.leftLocked(h, now) > 0
	if h.ctx == nil || believed && h.ctx.Err() != nil {
		h.ctx, h.cancel = context.WithCancelCause(context.Background())
		s.watched[h] = struct{}{}
	}
	if !believed {
		why := h.lowered
		if why == nil {
			why = &Error{Op: "hold", Path: h.info.Path, Err: ErrLost, Detail: s.whyLostLocked(h, now), Cause: s.cause}
		}
		s.disbelieveLocked(h, why)
	} else {
		s.armLocked(now)
	}
	return h.ctx
}

// disbelieveLocked cancels the grant's context.
func (s *Session) disbelieveLocked(h *held, why error) {
	delete(s.watched, h)
	if h.cancel != nil {
		h.cancel(why)
	}
}

// lowerLocked ends belief in the grant for good. Acquires that still waited to
// believe in it end with the reason.
func (s *Session) lowerLocked(h *held, why error) {
	if h.lowered == nil {
		h.lowered = why
	}
	s.disbelieveLocked(h, why)
	waiting := s.disbelieved[:0]
	for _, a := range s.disbelieved {
		if a.held == h {
			a.finishLocked(why)
		} else {
			waiting = append(waiting, a)
		}
	}
	s.disbelieved = waiting
}

// loseLocked follows the news that the grant has ended without this process.
func (s *Session) loseLocked(h *held, detail string) {
	delete(s.grants, h.info.Token)
	s.lowerLocked(h, &Error{Op: "hold", Path: h.info.Path, Err: ErrLost, Detail: detail})
}

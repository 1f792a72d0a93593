package engine

import "time"

// cancel gives an acquire up, wherever it has come to.
func (e *Engine) cancel(s *session, c *Cancel) Result {
	for _, w := range s.own.waits.All() {
		if w.sequence == c.Target {
			e.endWait(w, EndCancelled)
			return &Cancelled{Outcome: Withdrawn, Position: e.position()}
		}
	}
	for _, o := range s.endedWaits {
		if o.Sequence == c.Target {
			return e.tooLate(s, o.Token)
		}
	}
	if c.Target <= s.ackedThrough {
		return e.refuse(ReasonSequenceAcknowledged)
	}
	if i, found := s.findReply(c.Target); found {
		return e.cancelAnswered(s, s.replies[i].result)
	}
	if c.Target > s.ackedThrough+ReplyWindow {
		return e.refuse(ReasonSequenceWindow)
	}
	s.keep(c.Target, anyRequest, e.refuse(ReasonCancelled))
	return &Cancelled{Outcome: NeverExecuted, Position: e.position()}
}

// cancelAnswered tells what became of a request that was answered and does not
// wait.
func (e *Engine) cancelAnswered(s *session, answer Result) Result {
	switch answer := answer.(type) {
	case *Granted:
		return e.tooLate(s, answer.Grant.Token)
	case *Refused:
		if answer.Reason == ReasonCancelled {
			return &Cancelled{Outcome: NeverExecuted, Position: e.position()}
		}
	}
	return e.tooLate(s, 0 /* no token */)
}

// tooLate answers with the grant that a token names, if it stands.
func (e *Engine) tooLate(s *session, token Token) Result {
	path, stands := s.own.grants.Get(token)
	if !stands {
		return &Cancelled{Outcome: WasEnded, Position: e.position()}
	}
	l, _ := e.locks.Get(path)
	i, _ := l.byToken(token)
	grant := l.holder(i)
	var remaining time.Duration
	if grant.Until != 0 {
		remaining = max(0, grant.Until.Sub(e.time))
	}
	return &Cancelled{Outcome: WasGranted, Grant: grant, HoldRemaining: remaining, Position: e.position()}
}

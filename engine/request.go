package engine

import "lockstep/engine/fingerprint"

// request executes a client's command exactly once: the answer of a sequence is
// kept until the client acknowledges it, and given again to every retry. Refusals
// that come of the sequence itself, or of the session, are not kept: they have no
// effect, and come out the same as long as they are true.
func (e *Engine) request(c Command) Result {
	header := requestOf(c)
	e.scratch = appendBody(e.scratch[:0], c)
	imprint := fingerprint.Of(uint64(c.Kind()), e.scratch) | 1 // never anyRequest
	s, answer := e.admit(header, imprint)
	if answer != nil {
		return answer
	}
	var result Result
	switch c := c.(type) {
	case *Acquire:
		result = e.acquire(s, c)
	case *Release:
		result = e.release(s, c)
	case *Cancel:
		result = e.cancel(s, c)
	case *Leave:
		result = e.leave(s)
	case *EndSession:
		result = e.endGracefully(s)
		if s.state == SessionExpired {
			return result // nobody can ask again: the session has ended
		}
	default:
		bug("command %T is no request", c)
	}
	s.keep(header.Sequence, imprint, result)
	return result
}

// requestOf is the header of a client's command.
func requestOf(c Command) *Request {
	switch c := c.(type) {
	case *Acquire:
		return &c.Request
	case *Release:
		return &c.Request
	case *Cancel:
		return &c.Request
	case *Leave:
		return &c.Request
	case *EndSession:
		return &c.Request
	default:
		bug("command %T is no request", c)
		return nil
	}
}

// admit returns the touched session of a request that is to be executed, or else
// the answer.
func (e *Engine) admit(r *Request, imprint uint64) (*session, Result) {
	s, refusal := e.living(r.Session)
	if refusal != nil {
		return nil, refusal
	}
	if r.Incarnation < s.incarnation {
		return nil, e.refuse(ReasonSessionSuperseded)
	}
	if r.Incarnation > s.incarnation {
		return nil, e.invalid("the incarnation lies in the future")
	}
	s = e.touchSession(s)
	s.acknowledge(r)
	if r.Sequence <= s.ackedThrough {
		return nil, e.refuse(ReasonSequenceAcknowledged)
	}
	if r.Sequence > s.ackedThrough+ReplyWindow {
		return nil, e.refuse(ReasonSequenceWindow)
	}
	if i, found := s.findReply(r.Sequence); found {
		kept := &s.replies[i]
		if kept.imprint != imprint && kept.imprint != anyRequest {
			return nil, e.refuse(ReasonSequenceReused)
		}
		return nil, kept.result
	}
	if s.left {
		return nil, e.refuse(ReasonSessionSuperseded)
	}
	return s, nil
}

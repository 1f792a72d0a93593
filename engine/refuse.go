package engine

// Names of the limits, as Refused.Limit carries them.
const (
	limitSessions    = "sessions"
	limitLocks       = "locks"
	limitRequests    = "requests per lock"
	limitPossessions = "possessions per session"
	limitWaits       = "waits per session"
	limitCount       = "acquisitions per grant"
)

// refuse makes a refusal that says what its reason says.
func (e *Engine) refuse(reason Reason) *Refused {
	return &Refused{Reason: reason, Detail: detail(reason, ""), Position: e.position()}
}

// invalid refuses a command that makes no sense in the present state. It is never
// kept for retries.
func (e *Engine) invalid(what string) *Refused {
	return &Refused{Reason: ReasonInvalid, Detail: what, Position: e.position()}
}

// exhausted refuses for a limit.
func (e *Engine) exhausted(limit string) *Refused {
	return &Refused{
		Reason: ReasonResourceExhausted, Detail: detail(ReasonResourceExhausted, limit),
		Limit: limit, RetryAfter: RetryHint, Position: e.position(),
	}
}

// detail is the sentence of a refusal that may be kept for retries. It follows
// from the reason and the limit alone and is not part of the state, so that
// versions with other words agree on the digest.
func detail(reason Reason, limit string) string {
	switch reason {
	case ReasonSessionUnknown:
		return "the session does not exist, or has ended and gone: open a new one"
	case ReasonSessionExpired:
		return "the session has expired or ended, and what it held is being freed: open a new one"
	case ReasonSessionSuperseded:
		return "another process has taken the session over, or this one has left it"
	case ReasonNotYours:
		return "secret or principal do not fit the session"
	case ReasonSequenceAcknowledged:
		return "the answer to this sequence was acknowledged: it is never executed again"
	case ReasonSequenceWindow:
		return "the sequence lies too far ahead of the acknowledged ones: acknowledge answers first"
	case ReasonSequenceReused:
		return "the sequence was used for a different request: use a new one"
	case ReasonCancelled:
		return "the request was cancelled before it arrived"
	case ReasonHeld:
		return "the lock is held, closed or waited for, and the request does not wait"
	case ReasonNotHolder:
		return "the token names no grant of this owner on this lock"
	case ReasonConversion:
		return "the owner holds the lock in another mode: release it first"
	case ReasonAlreadyWaiting:
		return "the owner waits for this lock already"
	case ReasonResourceExhausted:
		return "the limit on " + limit + " is reached: try again later"
	case ReasonInvalid:
		return "the request makes no sense"
	case ReasonEmbargoed:
		return "the process that was taken over may still believe in its grants: try again later"
	case ReasonStaleTerm:
		return "the command was decided in another tenure"
	default:
		return "refused"
	}
}

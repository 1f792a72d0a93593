package engine

import "slices"

// openSession opens a session, or finds the one that the same secret opened.
func (e *Engine) openSession(c *OpenSession) Result {
	if id, found := e.bySecret[c.SecretHash]; found {
		return e.openAgain(id, c)
	}
	if e.sessions.Len() >= int(e.limits.Sessions) {
		return e.exhausted(limitSessions)
	}
	e.lastSession++
	s := &session{
		record:      record{epoch: e.epoch},
		id:          e.lastSession,
		incarnation: 1,
		state:       SessionAlive,
		secretHash:  c.SecretHash,
		principal:   c.Principal,
		label:       c.Label,
		ttl:         c.TTL,
		grace:       c.Grace,
		openedTime:  e.time,
		own:         newPossessions(),
	}
	s.opened = e.emit(Event{Kind: EventSessionOpened, Session: s.id, Incarnation: 1, Name: c.Principal})
	e.sessions.Insert(e.epoch, s.id, s)
	e.bySecret[c.SecretHash] = s.id
	e.digest.session(s)
	return s.openedAnswer()
}

func (s *session) openedAnswer() Result {
	return &Opened{Session: s.id, Incarnation: 1, TTL: s.ttl, Grace: s.grace, Position: s.opened}
}

// openAgain answers a retry. A process that was taken over must not learn the new
// incarnation this way.
func (e *Engine) openAgain(id SessionID, c *OpenSession) Result {
	s, _ := e.sessions.Get(id)
	switch {
	case s.principal != c.Principal:
		return e.refuse(ReasonNotYours)
	case s.state == SessionExpired:
		return e.refuse(ReasonSessionExpired)
	case s.incarnation != 1 || s.left:
		return e.refuse(ReasonSessionSuperseded)
	default:
		return s.openedAnswer()
	}
}

// takeOver raises the incarnation. From now on nothing weakens what the session
// holds until the old process has surely stopped believing in it.
func (e *Engine) takeOver(c *TakeOver) Result {
	s, refusal := e.living(c.Session)
	if refusal != nil {
		return refusal
	}
	if s.secretHash != c.SecretHash || s.principal != c.Principal {
		return e.refuse(ReasonNotYours)
	}
	if i := slices.IndexFunc(s.takeOvers, func(t takeOver) bool { return t.nonce == c.Nonce }); i >= 0 {
		if s.takeOvers[i].incarnation != s.incarnation || s.left {
			return e.refuse(ReasonSessionSuperseded)
		}
		return e.takenOverAnswer(s)
	}
	s = e.touchSession(s)
	s.incarnation++
	if !s.left {
		s.embargoed, s.embargoFrom = true, e.time
	}
	s.left = false
	// The old answers are for a process that will not be listened to.
	s.replies = nil
	s.ackedThrough = s.lastSequence
	if len(s.takeOvers) == TakeOversKept {
		s.takeOvers = slices.Delete(s.takeOvers, 0, 1)
	}
	s.takeOvers = append(s.takeOvers, takeOver{
		nonce:        c.Nonce,
		incarnation:  s.incarnation,
		position:     e.emit(Event{Kind: EventSessionTakenOver, Session: s.id, Incarnation: s.incarnation}),
		lastSequence: s.lastSequence,
	})
	return e.takenOverAnswer(s)
}

// takenOverAnswer tells of the last take-over.
func (e *Engine) takenOverAnswer(s *session) Result {
	t := s.takeOvers[len(s.takeOvers)-1]
	return &TakenOver{
		Incarnation:  t.incarnation,
		TTL:          s.ttl,
		Grace:        s.grace,
		Position:     t.position,
		LastSequence: t.lastSequence,
		Embargo:      max(0, e.embargo(s).Sub(e.time)),
	}
}

// embargo is the log time until which nothing may weaken what was granted to
// earlier incarnations of the session; 0: there is no embargo.
func (e *Engine) embargo(s *session) LogTime {
	if !s.embargoed {
		return 0
	}
	return e.tenures.embargo(s)
}

// underEmbargo refuses a request that would weaken what was granted to an earlier
// incarnation, while its process may still believe in it; else nil.
func (e *Engine) underEmbargo(s *session) Result {
	until := e.embargo(s)
	if until <= e.time {
		return nil
	}
	refusal := e.refuse(ReasonEmbargoed)
	refusal.RetryAfter = until.Sub(e.time)
	return refusal
}

// leave notes that the incarnation's process believes in nothing any more.
func (e *Engine) leave(s *session) Result {
	s.left = true
	e.emit(Event{Kind: EventSessionLeft, Session: s.id, Incarnation: s.incarnation})
	return &Done{Position: e.position()}
}

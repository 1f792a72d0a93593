package engine

// takeOffice begins a tenure. Raft may commit it in a later term than the one it
// was proposed in; then the tenure never begins.
func (e *Engine) takeOffice(c *TakeOffice) Result {
	if c.Term != e.term {
		return e.refuse(ReasonStaleTerm)
	}
	e.tenure = Tenure{Node: c.Node, Term: c.Term, Began: e.time}
	e.tenures.add(e.time)
	e.emit(Event{Kind: EventTenureBegan, Term: c.Term, Name: c.Node})
	return &OfficeTaken{Time: e.time}
}

// tick has nothing to do itself: the entry that carries it has done it.
func (e *Engine) tick(c *Tick) Result {
	if c.Term != e.term {
		return e.refuse(ReasonStaleTerm)
	}
	return &Done{Position: e.position()}
}

// livingOf finds the session of a command of the service, which is refused when
// it was decided in another tenure.
func (e *Engine) livingOf(term uint64, id SessionID) (*session, Result) {
	if term != e.term {
		return nil, e.refuse(ReasonStaleTerm)
	}
	return e.living(id)
}

// living finds a session that has not ended.
func (e *Engine) living(id SessionID) (*session, Result) {
	s, found := e.sessions.Get(id)
	switch {
	case !found:
		return nil, e.refuse(ReasonSessionUnknown)
	case s.state == SessionExpired:
		return nil, e.refuse(ReasonSessionExpired)
	default:
		return s, nil
	}
}

// silent records silence.
func (e *Engine) silent(c *Silent) Result {
	s, refusal := e.livingOf(c.Term, c.Session)
	if refusal != nil {
		return refusal
	}
	s = e.touchSession(s)
	// A session silent for its TTL is about to be expired: more says nothing.
	s.silence = min(s.silence+c.Observed, s.ttl)
	if s.state == SessionAlive {
		s.becomeJeopardy()
		e.emit(Event{Kind: EventSessionJeopardy, Session: s.id})
	}
	return &Done{Position: e.position()}
}

// alive forgets recorded silence.
func (e *Engine) alive(c *Alive) Result {
	s, refusal := e.livingOf(c.Term, c.Session)
	if refusal != nil {
		return refusal
	}
	if s.state == SessionJeopardy {
		s = e.touchSession(s)
		s.becomeAlive()
		e.emit(Event{Kind: EventSessionAlive, Session: s.id})
	}
	return &Done{Position: e.position()}
}

// expireSession ends a session that was silent for its TTL.
func (e *Engine) expireSession(c *ExpireSession) Result {
	s, refusal := e.livingOf(c.Term, c.Session)
	if refusal != nil {
		return refusal
	}
	e.endSession(e.touchSession(s), false /* ended by its client */)
	return &Done{Position: e.position()}
}

package engine

// endGracefully ends a session at its client's wish.
func (e *Engine) endGracefully(s *session) Result {
	if refusal := e.underEmbargo(s); refusal != nil {
		return refusal
	}
	e.endSession(s, true /* ended by its client */)
	return &Done{Position: e.position()}
}

// endSession ends a session and frees at once what the entry's portion allows.
// From here on none of its waiters is granted anything.
func (e *Engine) endSession(s *session, ended bool) {
	s.becomeExpired(ended)
	kind := EventSessionExpired
	if ended {
		kind = EventSessionEnded
	}
	e.emit(Event{Kind: kind, Session: s.id})
	e.ending.Insert(0, s.id, struct{}{})
	e.free(s)
}

// freePending goes on with the sessions that have ended, in the order of their
// ids, as far as the entry's portion allows.
func (e *Engine) freePending() {
	for e.freeable > 0 {
		id, _, found := e.ending.Min()
		if !found {
			return
		}
		s, _ := e.sessions.Get(id)
		e.free(e.touchSession(s))
	}
}

// free ends what an ended session waits for, by position, then what it holds, by
// token, and when nothing is left deletes its record. The waiters go first, so
// that they do not stand in the way when the grants are freed.
func (e *Engine) free(s *session) {
	reason := EndSessionExpired
	if s.ended {
		reason = EndSessionEnded
	}
	for s.waiters > 0 && e.freeable > 0 {
		e.freeable--
		_, w, _ := s.own.waits.Min()
		e.endWait(w, reason)
	}
	for s.grants > 0 && e.freeable > 0 {
		e.freeable--
		token, path, _ := s.own.grants.Min()
		e.endGrant(path, token, reason)
	}
	if e.freeable == 0 {
		return // also when nothing is left: the record costs a step as well
	}
	e.freeable--
	e.emit(Event{Kind: EventSessionGone, Session: s.id})
	e.ending.Delete(0, s.id)
	e.sessions.Delete(e.epoch, s.id)
	delete(e.bySecret, s.secretHash)
	e.digest.dropSession(s)
}

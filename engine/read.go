package engine

import "iter"

// Index is that of the last entry.
func (e *Engine) Index() uint64 { return e.index }

// Term is that of the last entry.
func (e *Engine) Term() uint64 { return e.term }

// Time is the log time.
func (e *Engine) Time() LogTime { return e.time }

// Lineage is that of the state.
func (e *Engine) Lineage() uint64 { return e.lineage }

// Limits are those of the state.
func (e *Engine) Limits() Limits { return e.limits }

// Tenure is the last that began; zero before the first.
func (e *Engine) Tenure() Tenure { return e.tenure }

// Counts says how much there is.
func (e *Engine) Counts() Counts { return e.counts() }

// LastToken is the last token granted.
func (e *Engine) LastToken() Token { return e.lastToken }

// Session returns a session, one that has ended too as long as it holds something.
func (e *Engine) Session(id SessionID) (SessionInfo, bool) {
	s, found := e.sessions.Get(id)
	if !found {
		return SessionInfo{}, false
	}
	return s.info(), true
}

// Sessions yields all sessions by id. The engine must not be applied to meanwhile.
func (e *Engine) Sessions() iter.Seq[SessionInfo] {
	return func(yield func(SessionInfo) bool) {
		for _, s := range e.sessions.All() {
			if !yield(s.info()) {
				return
			}
		}
	}
}

// SessionGrants returns a session's grants by token.
func (e *Engine) SessionGrants(id SessionID) []Grant {
	s, found := e.sessions.Get(id)
	if !found {
		return nil
	}
	grants := make([]Grant, 0, s.grants)
	for token, path := range s.own.grants.All() {
		l, _ := e.locks.Get(path)
		i, _ := l.byToken(token)
		grants = append(grants, l.holder(i))
	}
	return grants
}

// SessionWaiters returns a session's waiters by id.
func (e *Engine) SessionWaiters(id SessionID) []Waiter {
	s, found := e.sessions.Get(id)
	if !found {
		return nil
	}
	waiters := make([]Waiter, 0, s.waiters)
	for _, w := range s.own.waits.All() {
		l, _ := e.locks.Get(w.path)
		waiters = append(waiters, w.info(l.line.waiters.Ahead(w.key)))
	}
	return waiters
}

// SessionEnded returns, by position, how those of a session's waits ended that
// its client has not acknowledged as seen.
func (e *Engine) SessionEnded(id SessionID) []WaitOutcome {
	s, found := e.sessions.Get(id)
	if !found {
		return nil
	}
	return append([]WaitOutcome(nil), s.endedWaits...)
}

// FindGrant returns an owner's grant on a lock.
func (e *Engine) FindGrant(path string, session SessionID, owner OwnerID) (Grant, bool) {
	l, found := e.locks.Get(path)
	if !found {
		return Grant{}, false
	}
	s, found := e.sessions.Get(session)
	if !found {
		return Grant{}, false
	}
	i, found := l.ofOwner(s, owner)
	if !found {
		return Grant{}, false
	}
	return l.holder(i), true
}

// Lock returns a lock that is held, waited for or closed.
func (e *Engine) Lock(path string) (LockInfo, bool) {
	l, found := e.locks.Get(path)
	if !found {
		return LockInfo{}, false
	}
	return l.info(), true
}

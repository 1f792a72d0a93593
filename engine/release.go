package engine

// release undoes one acquisition. It names the grant's token, so that a late
// retry never touches a newer grant.
func (e *Engine) release(s *session, c *Release) Result {
	l, found := e.locks.Get(c.Path)
	if !found {
		return e.refuse(ReasonNotHolder)
	}
	i, found := l.byToken(c.Token)
	if !found || l.holders[i].session != s.id || l.holders[i].owner != c.Owner {
		return e.refuse(ReasonNotHolder)
	}
	// What this incarnation asked for itself, no earlier one believes in.
	if l.holders[i].incarnation != s.incarnation {
		if refusal := e.underEmbargo(s); refusal != nil {
			return refusal
		}
	}
	if l.holders[i].count == 1 {
		e.endGrant(c.Path, c.Token, EndReleased)
		return &Released{Position: e.position()}
	}
	l = e.touchLock(l)
	g := &l.holders[i]
	g.count--
	s.grantsChanged = e.emit(Event{
		Kind: EventLeftOnce, Path: l.path, Session: s.id, Owner: g.owner, Mode: g.mode, Token: g.token, Count: g.count,
	})
	return &Released{Remaining: g.count, Position: e.position()}
}

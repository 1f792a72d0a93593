package client

import (
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// binding is the request that makes a connection speak for a session.
type binding struct {
	call
	of *Session
	on *conn
}

// bindLocked binds the session on the link's connection unless that is under way.
func (l *link) bindLocked(s *Session) {
	n := l.conn
	if n == nil || n.pending == nil || s.binding == n || s.bound == n {
		return
	}
	s.binding = n
	b := &binding{of: s, on: n}
	b.asker, b.oneConn, b.link = b, true, l
	b.frame.Body = &lockstepv1.ClientFrame_BindSession{BindSession: &lockstepv1.BindSession{
		Session: uint64(s.id), Incarnation: s.incarnation, Secret: s.secret,
	}}
	if !l.sendLocked(&b.call) {
		l.waiting = append(l.waiting, &b.call)
	}
}

// rebind binds the session again on n, which has forgotten it.
func (l *link) rebind(s *Session, n *conn) {
	l.mu.Lock()
	again := s.bound == n
	if again {
		s.bound = nil
	}
	l.bindLocked(s)
	l.mu.Unlock()
	if again {
		s.disconnected()
	}
}

func (b *binding) answered(_ *call, f *lockstepv1.NodeFrame, err error) {
	s, l := b.of, b.link
	bound := f.GetSessionBound()
	l.mu.Lock()
	current := s.binding == b.on
	if current {
		s.binding = nil
		if bound != nil && l.conn == b.on {
			s.bound = b.on
		}
	}
	l.mu.Unlock()
	if !current {
		return
	}
	switch {
	case bound != nil:
		// In this order: what the session is told is held back until its state has
		// been fetched, so the fetch must be under way first.
		s.boundAt(position(bound.GetPosition()))
		l.mu.Lock()
		l.flushLocked(l.client.mono().Now())
		s.nextBeat = time.Time{}
		b.on.kickLocked()
		l.mu.Unlock()
	case f.GetRefusal() != nil:
		s.over(refused("session", "", f.GetRefusal()))
	case err != nil:
		l.client.log.Error("a node refuses to bind a session", "session", s.id, "node", b.on.node(), "why", err)
		b.on.close(err)
	default:
		b.on.close(unexpected("bind", "", f))
	}
}

func (b *binding) overdue(*call) bool { return false }

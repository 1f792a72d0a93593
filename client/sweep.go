package client

import (
	"fmt"
	"maps"
	"slices"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// sweepLoop looks a few times a second at what has gone on for too long, so that
// requests need no timers of their own.
func (l *link) sweepLoop() {
	ticker := l.client.mono().NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.Chan():
			l.sweep()
		case <-l.ctx.Done():
			return
		}
	}
}

func (l *link) sweep() {
	now := l.client.mono().Now()
	l.mu.Lock()
	var late []*call
	check := func(c *call) {
		if !c.settled && !c.deadline.IsZero() && !now.Before(c.deadline) {
			if c.problem == nil {
				c.problem = l.why
			}
			c.deadline = time.Time{}
			late = append(late, c)
		}
	}
	for _, c := range l.waiting {
		check(c)
	}
	n := l.conn
	if n != nil {
		for _, c := range n.pending {
			check(c)
		}
	}
	ask := n != nil && now.After(l.checkAt)
	if ask {
		l.checkAt = now.Add(leaderCheckInterval)
	}
	sessions := slices.Collect(maps.Values(l.sessions))
	l.mu.Unlock()

	for _, c := range late {
		if c.asker.overdue(c) {
			l.discard(c)
		}
	}
	for _, s := range sessions {
		s.sweep(now)
	}
	if n == nil {
		return
	}
	if l.silent(n) {
		l.seek(n, goal{why: fmt.Errorf("node %s leaves requests unanswered", n.node())})
	}
	if ask {
		l.askWhoLeads(n)
	}
}

// silent tells whether the node has left something unanswered, and has said
// nothing else, for the silence timeout.
func (l *link) silent(n *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := l.client.mono().Now().Add(-l.client.cfg.SilenceTimeout)
	if n.heard.After(since) || n.beats == nil {
		return false
	}
	if len(n.pending) > 0 {
		// A request that was sent just now does not make the node late.
		if n.owedSince.IsZero() {
			n.owedSince = l.client.mono().Now()
		}
		return n.owedSince.Before(since)
	}
	n.owedSince = time.Time{}
	oldest, owed := n.beats.oldest()
	return owed && oldest.Before(since)
}

// leaderQuestion asks the node on the connection who leads.
type leaderQuestion struct {
	call
	conn *conn
}

func (l *link) askWhoLeads(n *conn) {
	q := &leaderQuestion{conn: n}
	q.asker, q.oneConn = q, true
	q.frame.Body = &lockstepv1.ClientFrame_GetStatus{GetStatus: &lockstepv1.GetStatus{}}
	l.submit(&q.call)
}

func (q *leaderQuestion) answered(_ *call, f *lockstepv1.NodeFrame, err error) {
	if err != nil {
		return
	}
	leader := f.GetStatus().GetLeader()
	q.link.client.noteLeader(leader)
	q.link.followLeader(q.conn, leader)
}

func (q *leaderQuestion) overdue(*call) bool { return true }

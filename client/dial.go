package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

const (
	// seekFirst and seekLast bound the pauses between searches for a better
	// connection while the present one still stands.
	seekFirst = 250 * time.Millisecond
	seekLast  = 10 * time.Second
)

// dialRound is a round of dialling in which no node welcomed this client.
type dialRound struct {
	err error
	// hopeless: every node answered, and refuses for a reason that stays.
	hopeless bool
}

// connect tries all candidates, each a little after the one before, and returns
// the first connection that is welcomed.
func (l *link) connect(ctx context.Context, avoid string) (*conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	candidates := l.client.candidates(avoid)
	type dialled struct {
		conn *conn
		err  error
	}
	results := make(chan dialled, len(candidates))
	launched, ended := 0, 0
	launch := func() {
		if launched < len(candidates) {
			address := candidates[launched]
			launched++
			go func() {
				c, err := l.openConn(ctx, address)
				results <- dialled{c, err}
			}()
		}
	}
	hedge := l.client.mono().NewTicker(hedgeDelay)
	defer hedge.Stop()
	launch()
	var errs []error
	for {
		select {
		case r := <-results:
			ended++
			if r.err == nil {
				go func() { // the losers of the race
					for range launched - ended {
						if late := <-results; late.conn != nil {
							late.conn.close(fmt.Errorf("not needed: %w", transport.ErrClosed))
						}
					}
				}()
				return r.conn, nil
			}
			errs = append(errs, r.err)
			if ended == len(candidates) {
				return nil, &roundError{errs: errs}
			}
			launch()
		case <-hedge.Chan():
			launch()
		}
	}
}

// roundError is why no candidate welcomed this client.
type roundError struct{ errs []error }

// Error lists the reasons.
func (e *roundError) Error() string { return errors.Join(e.errs...).Error() }

// Unwrap lets errors.Is see them all.
func (e *roundError) Unwrap() []error { return e.errs }

func (e *roundError) hopeless() bool {
	for _, err := range e.errs {
		if !permanent(err) {
			return false
		}
	}
	return true
}

// unreachable notes that a round of dialling failed.
func (l *link) unreachable(err error) {
	if l.ctx.Err() != nil {
		return
	}
	l.client.log.Warn("no node can be reached", "link", l.index, "why", err)
	l.mu.Lock()
	l.why = err
	l.mu.Unlock()
	round := dialRound{err: err}
	var all *roundError
	if errors.As(err, &all) && all.hopeless() {
		round.hopeless = true
	}
	select {
	case l.failures <- round:
	default:
	}
}

// goal is what a better connection leads to.
type goal struct {
	// leader's address, if a node has named it.
	leader string
	// informed: any node that knows a leader, but for the one that is asked now.
	informed bool
	// why is told to the operator; may be nil. Without leader and informed any
	// other node will do.
	why error
}

// followLeader looks for a connection to the leader when n does not lead to it.
func (l *link) followLeader(n *conn, leader *lockstepv1.Member) {
	if leader.GetAddress() == "" || leader.GetNode() == n.node() {
		return
	}
	l.seek(n, goal{leader: leader.GetAddress()})
}

// troubled follows a problem that a node on n has told of.
func (l *link) troubled(n *conn, p *lockstepv1.Problem) {
	if leader := p.GetLeader(); leader.GetAddress() != "" && leader.GetNode() != n.node() {
		l.client.noteLeader(leader)
		l.followLeader(n, leader)
		return
	}
	code := p.GetCode()
	if code == lockstepv1.Code_CODE_NO_LEADER || code == lockstepv1.Code_CODE_NO_QUORUM || code == lockstepv1.Code_CODE_STOPPING {
		// It may be the node that is cut off, not the cluster that has no leader.
		l.seek(n, goal{informed: true})
	}
}

// seek looks for a better connection in the background while n stands.
func (l *link) seek(n *conn, g goal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.client.mono().Now()
	if l.closed || l.seeking || l.conn != n || now.Before(l.seekAfter) {
		return
	}
	l.seeking = true
	if g.why != nil {
		l.client.log.Warn("looking for another node", "link", l.index, "why", g.why)
	}
	l.client.running.Go(func() { l.search(n, g) })
}

// reach opens a connection that serves the goal, or none.
func (l *link) reach(n *conn, g goal) *conn {
	var better *conn
	var err error
	if g.leader != "" {
		better, err = l.openConn(l.ctx, g.leader)
	} else {
		better, err = l.connect(l.ctx, n.address)
	}
	if err != nil {
		return nil
	}
	leader := better.welcome.GetLeader().GetNode()
	switch {
	case better.node() == n.node(),
		g.leader != "" && leader != better.node(),
		g.informed && (leader == "" || leader == n.node()):
		better.close(fmt.Errorf("not needed: %w", transport.ErrClosed))
		return nil
	}
	return better
}

func (l *link) search(n *conn, g goal) {
	better := l.reach(n, g)
	l.mu.Lock()
	l.seeking = false
	l.seekAfter = l.client.mono().Now().Add(seekFirst/2 + pause(l.seekTries, seekFirst, seekLast, l.client.dice.draw))
	l.seekTries++
	if better != nil {
		l.seekTries = 0
	}
	l.mu.Unlock()
	if better == nil {
		return
	}
	select {
	case l.found <- better:
	case <-n.ctx.Done():
		// What it would have replaced is gone, and the link dials anew by itself.
		better.close(fmt.Errorf("not needed: %w", transport.ErrClosed))
	}
}

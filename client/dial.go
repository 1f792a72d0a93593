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

// followLeader looks for a connection to the leader when n does not lead to it.
func (l *link) followLeader(n *conn, leader *lockstepv1.Member) {
	if leader.GetAddress() == "" || leader.GetNode() == n.node() {
		return
	}
	l.seek(n, leader.GetAddress(), nil)
}

// seek looks for a better connection in the background while n stands: to the
// leader's address or, if that is empty, to any other node.
func (l *link) seek(n *conn, leader string, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.client.mono().Now()
	if l.closed || l.seeking || l.conn != n || now.Before(l.seekAfter) {
		return
	}
	l.seeking = true
	if why != nil {
		l.client.log.Warn("looking for another node", "link", l.index, "why", why)
	}
	l.client.running.Go(func() { l.search(n, leader) })
}

func (l *link) search(n *conn, leader string) {
	var better *conn
	var err error
	if leader != "" {
		if better, err = l.openConn(l.ctx, leader); err == nil && better.welcome.GetLeader().GetNode() != better.node() {
			better.close(fmt.Errorf("not the leader: %w", transport.ErrClosed))
			better = nil
		}
	} else if better, err = l.connect(l.ctx, n.address); err == nil && better.node() == n.node() {
		better.close(fmt.Errorf("the same node: %w", transport.ErrClosed))
		better = nil
	}
	if err != nil {
		better = nil
	}

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

package client

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// link is one connection's worth of traffic through all the connections that
// carry it one after another. It owns calls from submit to their answer: those
// that a lost connection leaves unanswered go out again on the next one.
//
// Lock order: Session.mu before link.mu before Client.mu.
type link struct {
	client *Client
	index  int
	ctx    context.Context
	// ready is closed with the first Welcome; failures tells of rounds of dialling
	// that reached nobody, to whoever listens.
	ready    chan struct{}
	failures chan dialRound
	// found brings a connection that is better than the present one.
	found   chan *conn
	watches *watchHub

	mu       sync.Mutex
	conn     *conn
	sessions map[SessionID]*Session
	// opening counts sessions that are being opened, for an even spread.
	opening int
	waiting []*call
	closed  bool
	// why there is no connection.
	why        error
	retryAt    time.Time
	retryTimer clockwork.Timer
	readied    bool

	seeking   bool
	seekTries int
	seekAfter time.Time
	checkAt   time.Time
}

func newLink(c *Client, index int) *link {
	l := &link{
		client: c, index: index, ctx: c.ctx,
		ready: make(chan struct{}), failures: make(chan dialRound, 1), found: make(chan *conn),
		sessions: make(map[SessionID]*Session),
	}
	l.watches = newWatchHub(l)
	return l
}

func (l *link) start() {
	l.client.running.Go(l.run)
	l.client.running.Go(l.sweepLoop)
}

// run keeps a connection until the client is closed.
func (l *link) run() {
	for tries := 0; l.ctx.Err() == nil; {
		c, err := l.connect(l.ctx, "")
		switch {
		case err != nil:
			l.unreachable(err)
		case l.serve(c):
			tries = 0 // a node that welcomes and then breaks off does not count
		}
		if !l.client.pause(l.ctx, tries) {
			return
		}
		tries++
	}
}

// serve uses c until it fails, or a better one is found and used instead. It
// tells whether the last one was of any use.
func (l *link) serve(c *conn) (useful bool) {
	for {
		l.adopt(c)
		next := l.guard(c)
		useful = l.drop(c, context.Cause(c.ctx))
		if next == nil {
			return useful
		}
		c = next
	}
}

// guard waits for the connection's end or its successor.
func (l *link) guard(c *conn) *conn {
	for {
		select {
		case <-c.ctx.Done():
			return nil
		case next := <-l.found:
			if c.ctx.Err() == nil && next.address == c.address && !l.silent(c) {
				next.close(fmt.Errorf("not needed: %w", transport.ErrClosed))
				continue
			}
			return next
		}
	}
}

// adopt makes c the connection of this link and sends what waits for one.
func (l *link) adopt(c *conn) {
	l.client.log.Info("connected", "node", c.node(), "address", c.address, "link", l.index)
	l.mu.Lock()
	now := l.client.mono().Now()
	l.conn, l.why, c.heard = c, nil, now
	l.checkAt = now.Add(leaderCheckInterval)
	c.beats = newBeats()
	if !l.readied {
		l.readied = true
		close(l.ready)
	}
	for _, id := range slices.Sorted(maps.Keys(l.sessions)) {
		l.bindLocked(l.sessions[id])
	}
	l.flushLocked(now)
	l.mu.Unlock()
	l.client.running.Go(c.readOps)
	l.client.running.Go(c.beatLoop)
	l.watches.attach(c)
	l.followLeader(c, c.welcome.GetLeader())
}

// drop takes the unanswered calls back from c. Whether they took effect is not
// known.
func (l *link) drop(c *conn, why error) (useful bool) {
	if why == nil {
		why = fmt.Errorf("connection to %s given up for a better one: %w", c.address, transport.ErrClosed)
	}
	c.close(why)
	l.watches.detach(c)
	l.mu.Lock()
	calls := slices.SortedFunc(maps.Values(c.pending), func(a, b *call) int { return cmp.Compare(a.wireID(), b.wireID()) })
	c.pending = nil
	kept := calls[:0]
	for _, k := range calls {
		k.conn, k.uncertain = nil, true
		k.problem = why
		if k.oneConn {
			k.settled = true
			continue
		}
		kept = append(kept, k)
	}
	l.waiting = append(kept, l.waiting...)
	if l.conn == c {
		l.conn, l.why = nil, why
	}
	sessions := slices.Collect(maps.Values(l.sessions))
	for _, s := range sessions {
		s.bound, s.binding = nil, nil
	}
	closed := l.closed
	useful = c.useful
	l.mu.Unlock()
	for _, s := range sessions {
		s.disconnected()
	}
	if !closed {
		l.client.log.Info("disconnected", "node", c.node(), "address", c.address, "link", l.index, "why", why)
	}
	return useful
}

// submit sends the call as soon as it can be sent. It may be called with
// Session.mu held; the asker is never called from here.
func (l *link) submit(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.link = l
	if patience := l.client.cfg.RequestTimeout; patience > 0 && !c.oneConn {
		c.deadline = l.client.mono().Now().Add(patience)
	}
	if l.closed {
		c.settled = true
		go c.asker.answered(c, nil, &Error{Err: ErrClosed})
		return
	}
	if !l.strandedLocked(c) && !l.sendLocked(c) {
		l.waiting = append(l.waiting, c)
	}
}

// strandedLocked ends a call whose session was over before the call was found.
func (l *link) strandedLocked(c *call) bool {
	s := c.session
	if s == nil || l.sessions[s.id] == s {
		return false
	}
	c.settled = true
	go func() {
		s.mu.Lock()
		why := s.cause
		s.mu.Unlock()
		c.asker.answered(c, nil, why)
	}()
	return true
}

// sendLocked sends the call if it can be sent now.
func (l *link) sendLocked(c *call) bool {
	n := l.conn
	if n == nil || n.pending == nil || c.session != nil && c.session.bound != n {
		return false
	}
	if c.timed && !c.sent {
		c.first = l.client.now()
	}
	n.lastID++
	c.frame.Id = n.lastID
	if err := n.ops.out.TryEnqueueMessage(&c.frame); err != nil {
		// Full, or about to be noticed as broken: the next flush tries again.
		c.problem = err
		c.notBefore = l.client.mono().Now().Add(l.client.cfg.BackoffMin)
		l.wakeAtLocked(c.notBefore)
		return false
	}
	n.pending[c.frame.Id] = c
	c.conn, c.sent = n, true
	return true
}

// flushLocked sends every waiting call that can be sent.
func (l *link) flushLocked(now time.Time) {
	calls := l.waiting
	l.waiting = l.waiting[:0]
	for _, c := range calls {
		if c.settled {
			continue
		}
		if now.Before(c.notBefore) {
			l.wakeAtLocked(c.notBefore)
		} else if l.sendLocked(c) {
			continue
		}
		l.waiting = append(l.waiting, c)
	}
	clear(calls[len(l.waiting):])
}

// wakeAtLocked lets a flush happen at t.
func (l *link) wakeAtLocked(t time.Time) {
	if !l.retryAt.IsZero() && !t.Before(l.retryAt) || l.closed {
		return
	}
	l.retryAt = t
	if l.retryTimer != nil {
		l.retryTimer.Stop()
	}
	l.retryTimer = l.client.mono().AfterFunc(max(t.Sub(l.client.mono().Now()), 0), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.retryAt = time.Time{}
		l.flushLocked(l.client.mono().Now())
	})
}

// take removes the call that an answer belongs to from those in flight; nil if
// there is none.
func (l *link) take(n *conn, id uint64) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.hearLocked()
	c := n.pending[id]
	if c == nil {
		return nil
	}
	delete(n.pending, id)
	c.conn, c.via = nil, n
	return c
}

// dispatch hands an answer to who asked, or sees to it that the call goes out
// again.
func (l *link) dispatch(c *call, n *conn, f *lockstepv1.NodeFrame) {
	p := f.GetProblem()
	if p == nil {
		if l.settle(c) {
			c.asker.answered(c, f, nil)
		}
		return
	}
	what, err := judge(p)
	switch what {
	case fateRetry, fateRebind:
		l.again(c, p, err, false /* uncertain */)
	case fateRetryUncertain:
		l.again(c, p, err, true /* uncertain */)
	case fateFail:
		if l.settle(c) {
			c.asker.answered(c, nil, err)
		}
	case fateLineage:
		if s := c.session; s != nil {
			s.over(&Error{Op: "session", Err: ErrSessionExpired, Detail: p.GetDetail(), Cause: ErrNewLineage})
		}
		n.close(err)
		l.again(c, p, err, false /* uncertain */)
	}
	if what == fateRebind && c.session != nil {
		l.rebind(c.session, n)
	}
	l.troubled(n, p)
}

// again lets the call go out once more after a pause.
func (l *link) again(c *call, p *lockstepv1.Problem, why error, uncertain bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.settled {
		return
	}
	now := l.client.mono().Now()
	c.problem = why
	c.uncertain = c.uncertain || uncertain
	c.notBefore = now.Add(max(l.client.pauseFor(c.tries), time.Duration(p.GetRetryAfterNs())))
	c.tries++
	if l.strandedLocked(c) || l.closed {
		return
	}
	l.waiting = append(l.waiting, c)
	l.wakeAtLocked(c.notBefore)
}

// settle marks the call as done; false if it was already.
func (l *link) settle(c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.settled {
		return false
	}
	c.settled = true
	return true
}

// giveUp forgets the call if it can have had no effect, and says so; a call that
// may have had one is forgotten if anyway is true.
func (l *link) giveUp(c *call, anyway bool) (harmless bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	harmless = !c.settled && !c.uncertain && c.conn == nil
	if harmless || anyway {
		l.discardLocked(c)
	}
	return harmless
}

// discard forgets the call: nobody wants its answer any more.
func (l *link) discard(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.discardLocked(c)
}

func (l *link) discardLocked(c *call) {
	c.settled = true
	if c.conn != nil {
		delete(c.conn.pending, c.wireID())
		c.conn = nil
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(w *call) bool { return w == c })
}

// pushed hands events to the session they belong to.
func (l *link) pushed(n *conn, f *lockstepv1.NodeFrame) {
	l.mu.Lock()
	n.hearLocked()
	var s *Session
	if events := f.GetSessionEvents(); events != nil {
		s = l.sessions[SessionID(events.GetSession())]
		if s != nil && s.bound != n {
			s = nil // the state will be fetched once it is bound
		}
	}
	l.mu.Unlock()
	if s != nil {
		s.pushed(f.GetSessionEvents())
	}
}

// load is how many sessions this link carries.
func (l *link) load() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sessions) + l.opening
}

// olderThan are the sessions of earlier lineages.
func (l *link) olderThan(lineage uint64) []*Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var old []*Session
	for _, s := range l.sessions {
		if s.lineage < lineage {
			old = append(old, s)
		}
	}
	return old
}

// close ends the link and returns its sessions; their calls end with them.
func (l *link) close() []*Session {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	calls := l.waiting
	l.waiting = nil
	if l.conn != nil {
		calls = append(calls, slices.Collect(maps.Values(l.conn.pending))...)
		clear(l.conn.pending)
	}
	var orphans []*call
	for _, c := range calls {
		if !c.settled && c.session == nil {
			orphans = append(orphans, c)
		}
		if c.session == nil || c.oneConn {
			c.settled = true
		}
	}
	// What belongs to sessions is settled by their end.
	l.waiting = slices.DeleteFunc(calls, func(c *call) bool { return c.settled })
	if l.retryTimer != nil {
		l.retryTimer.Stop()
	}
	sessions := slices.Collect(maps.Values(l.sessions))
	l.mu.Unlock()
	for _, c := range orphans {
		c.asker.answered(c, nil, &Error{Err: ErrClosed})
	}
	l.watches.close()
	return sessions
}

// forget removes the session and returns its calls, settled.
func (l *link) forget(s *Session) []*call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions[s.id] == s {
		delete(l.sessions, s.id)
	}
	s.bound, s.binding = nil, nil
	var calls []*call
	l.waiting = slices.DeleteFunc(l.waiting, func(c *call) bool {
		if c.session != s {
			return false
		}
		c.uncertain = c.uncertain || c.conn != nil
		c.conn = nil
		calls = append(calls, c)
		return true
	})
	if l.conn != nil {
		for id, c := range l.conn.pending {
			if c.session == s {
				c.uncertain = true
				c.conn = nil
				delete(l.conn.pending, id)
				calls = append(calls, c)
			}
		}
	}
	calls = slices.DeleteFunc(calls, func(c *call) bool { return c.settled })
	for _, c := range calls {
		c.settled = true
	}
	return calls
}

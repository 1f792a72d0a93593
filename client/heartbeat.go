package client

import (
	"context"
	"fmt"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/client/belief"
	"lockstep/transport"
)

const (
	// beatRetryFirst is the first ceiling of the pauses after a heartbeat that was
	// not acknowledged; the last is the session's interval.
	beatRetryFirst = 50 * time.Millisecond
	// bundleSlack: sessions that are due within interval/bundleSlack ride along.
	bundleSlack = 8
)

// beats is the heartbeat stream of a connection. Guarded by link.mu but for the
// channel's own methods.
type beats struct {
	channel *channel
	lastID  uint64
	bundles map[uint64]bundle
}

// bundle is heartbeats that went out together.
type bundle struct {
	// from was read before the bundle was sent: belief counts from it.
	from     belief.Reading
	sessions []*Session
}

func newBeats() *beats { return &beats{bundles: make(map[uint64]bundle)} }

// oldest is when the oldest unanswered bundle was sent.
func (b *beats) oldest() (sent time.Time, owed bool) {
	for _, u := range b.bundles {
		if at := u.from.Mono; !owed || at.Before(sent) {
			sent, owed = at, true
		}
	}
	return sent, owed
}

// kickLocked wakes the heartbeat loop: a session is due before its time.
func (c *conn) kickLocked() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// beatLoop sends the heartbeats of the connection's sessions when they are due.
func (c *conn) beatLoop() {
	mono := c.link.client.mono()
	timer := mono.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, next := c.due(mono.Now())
		for len(due) > 0 {
			n := min(len(due), MaxHeartbeatsPerBundle)
			if err := c.beat(due[:n]); err != nil {
				c.close(fmt.Errorf("heartbeats to %s: %w", c.address, err))
				return
			}
			due = due[n:]
		}
		if !next.IsZero() {
			timer.Reset(max(next.Sub(mono.Now()), 0))
		}
		select {
		case <-timer.Chan():
		case <-c.kick:
		case <-c.ctx.Done():
			return
		}
	}
}

// due takes the sessions whose heartbeat is due, and tells when the next one is;
// zero: none.
func (c *conn) due(now time.Time) (due []*Session, next time.Time) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.bound != c || s.quiet {
			continue
		}
		if !now.Before(s.nextBeat.Add(-s.interval / bundleSlack)) {
			due = append(due, s)
			s.nextBeat = now.Add(s.interval)
		}
		if next.IsZero() || s.nextBeat.Before(next) {
			next = s.nextBeat
		}
	}
	return due, next
}

// beat sends one bundle.
func (c *conn) beat(sessions []*Session) error {
	l := c.link
	if c.beats.channel == nil {
		ctx, cancel := l.client.withTimeout(c.ctx, l.client.cfg.DialTimeout)
		channel, err := openChannel(ctx, c.carrier, transport.PurposeHeartbeat, l.client.hello(), smallQueue)
		cancel()
		if err != nil {
			return err
		}
		context.AfterFunc(c.ctx, func() { channel.close(context.Cause(c.ctx)) })
		c.beats.channel = channel
		l.client.running.Go(func() { c.readBeats(channel) })
	}
	request := &lockstepv1.HeartbeatRequest{Heartbeats: make([]*lockstepv1.Heartbeat, len(sessions))}
	for i, s := range sessions {
		request.Heartbeats[i] = &lockstepv1.Heartbeat{Session: uint64(s.id), Incarnation: s.incarnation}
	}
	l.mu.Lock()
	b := c.beats
	b.lastID++
	request.Id = b.lastID
	delete(b.bundles, b.lastID-MaxBundlesInFlight)
	b.bundles[b.lastID] = bundle{from: l.client.now(), sessions: sessions}
	l.mu.Unlock()
	return b.channel.out.TryEnqueueMessage(request)
}

func (c *conn) readBeats(ch *channel) {
	err := c.readBeatReplies(ch)
	c.close(fmt.Errorf("heartbeats to %s: %w", c.address, err))
}

func (c *conn) readBeatReplies(ch *channel) error {
	w, err := ch.welcomed()
	if err != nil {
		return err
	}
	if err := c.link.client.noteWelcome(w); err != nil {
		return err
	}
	for {
		reply := new(lockstepv1.HeartbeatReply)
		if err := transport.ReadMessage(ch.frames, reply); err != nil {
			return err
		}
		c.replied(reply)
	}
}

// replied applies the answer to one bundle.
func (c *conn) replied(reply *lockstepv1.HeartbeatReply) {
	l := c.link
	l.mu.Lock()
	b, known := c.beats.bundles[reply.GetId()]
	delete(c.beats.bundles, reply.GetId())
	c.hearLocked()
	l.mu.Unlock()
	if !known {
		return
	}
	if p := reply.GetProblem(); p != nil {
		if p.GetCode() == lockstepv1.Code_CODE_NOT_BOUND {
			for _, s := range b.sessions { // it does not say which
				l.rebind(s, c)
			}
		}
		l.beatAgain(c, p, b.sessions...)
		return
	}
	byID := make(map[SessionID]*Session, len(b.sessions))
	for _, s := range b.sessions {
		byID[s.id] = s
	}
	for _, r := range reply.GetResults() {
		if s := byID[SessionID(r.GetSession())]; s != nil {
			c.judged(s, b.from, r)
		}
	}
}

// judged applies the verdict on one heartbeat.
func (c *conn) judged(s *Session, from belief.Reading, r *lockstepv1.HeartbeatResult) {
	l := c.link
	switch r.GetVerdict() {
	case lockstepv1.HeartbeatResult_VERDICT_ALIVE:
		l.mu.Lock()
		s.beatTries = 0
		if ttl := time.Duration(r.GetTtlNs()); ttl > 0 {
			s.interval = ttl / HeartbeatsPerTTL
		}
		l.mu.Unlock()
		s.acknowledged(from, r)
	case lockstepv1.HeartbeatResult_VERDICT_GONE:
		s.mu.Lock()
		why := s.overLocked()
		s.mu.Unlock()
		s.over(why)
	case lockstepv1.HeartbeatResult_VERDICT_SUPERSEDED:
		s.over(&Error{Op: "session", Err: ErrSuperseded})
	case lockstepv1.HeartbeatResult_VERDICT_NOT_BOUND:
		l.rebind(s, c)
		l.beatAgain(c, nil, s)
	case lockstepv1.HeartbeatResult_VERDICT_UNDECIDED, lockstepv1.HeartbeatResult_VERDICT_UNSPECIFIED:
		l.beatAgain(c, nil, s)
	default:
		// A verdict of a later version acknowledges nothing.
		l.beatAgain(c, nil, s)
	}
}

// beatAgain lets heartbeats that were not acknowledged be followed by others
// sooner than usual.
func (l *link) beatAgain(c *conn, p *lockstepv1.Problem, sessions ...*Session) {
	l.mu.Lock()
	now := l.client.mono().Now()
	for _, s := range sessions {
		soon := max(pause(s.beatTries, min(beatRetryFirst, s.interval), s.interval, l.client.dice.draw), time.Duration(p.GetRetryAfterNs()))
		s.beatTries++
		if at := now.Add(soon); at.Before(s.nextBeat) {
			s.nextBeat = at
		}
	}
	c.kickLocked()
	l.mu.Unlock()
	l.troubled(c, p)
}

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/client/belief"
)

const (
	// secretBytes is the length of a session's secret.
	secretBytes = 32
	// defaultTTL is the TTL where no option says otherwise.
	defaultTTL = 10 * time.Second
)

// opening is a session on its way into being, by opening or by taking over.
type opening struct {
	call
	client  *Client
	session *Session
	// build makes the session of the answer.
	build func(f *lockstepv1.NodeFrame) error
	done  chan error
}

// NewSession opens a session and keeps it alive until it is ended or the client
// closed. When ctx ends first, a session that comes into being all the same is
// ended in the background. Errors: ErrUnavailable, ErrInvalid, ErrNotPermitted,
// ErrResourceExhausted.
func (c *Client) NewSession(ctx context.Context, opts ...SessionOption) (*Session, error) {
	options := sessionOptions{ttl: defaultTTL}
	for _, o := range opts {
		o(&options)
	}
	if options.grace == 0 {
		options.grace = options.ttl / 5 * 2
	}
	if err := options.check(); err != nil {
		return nil, err
	}
	secret := make([]byte, secretBytes)
	c.dice.fill(secret)
	o := c.newOpening(secret)
	o.frame.Body = &lockstepv1.ClientFrame_OpenSession{OpenSession: &lockstepv1.OpenSession{
		Secret: secret, TtlNs: int64(options.ttl), GraceNs: int64(options.grace), Label: options.label,
	}}
	o.build = func(f *lockstepv1.NodeFrame) error {
		opened := f.GetSessionOpened()
		if opened == nil {
			return unexpected("open session", "", f)
		}
		s := o.session
		s.id, s.incarnation = SessionID(opened.GetSession()), opened.GetIncarnation()
		s.begins(time.Duration(opened.GetTtlNs()), time.Duration(opened.GetGraceNs()), position(opened.GetPosition()))
		// The service's deadline counts from the commit, which came after the first
		// sending: as good as an acknowledged heartbeat.
		s.span = belief.Since(o.first, belief.SessionLength(s.ttl, s.grace))
		s.grantSpan = s.span
		s.window = newWindow(0)
		s.synced = true
		return nil
	}
	return o.await(ctx, "open session")
}

func (o sessionOptions) check() error {
	detail := ""
	switch {
	case o.ttl <= 0:
		detail = fmt.Sprintf("the TTL is %v, not positive", o.ttl)
	case o.grace < belief.MinGrace(o.ttl):
		detail = fmt.Sprintf("the grace is %v; a TTL of %v needs at least %v for clocks that drift", o.grace, o.ttl, belief.MinGrace(o.ttl))
	case o.grace >= o.ttl:
		detail = fmt.Sprintf("the grace is %v, which leaves nothing of a TTL of %v to believe in", o.grace, o.ttl)
	case len(o.label) > MaxText:
		detail = fmt.Sprintf("the label has %d bytes, more than %d", len(o.label), MaxText)
	default:
		return nil
	}
	return &Error{Op: "open session", Err: ErrInvalid, Detail: detail}
}

// TakeOver continues a session in this process and shuts out the process that had
// it. What it holds stays, see Session.Grants; requests that still waited are
// withdrawn. For up to a TTL, until the other process has surely stopped
// believing, nothing that weakens its grants is executed: a release waits. It
// returns when the session is believed in. Errors: ErrSessionExpired,
// ErrNotPermitted, ErrUnavailable.
func (c *Client) TakeOver(ctx context.Context, credential Credential) (*Session, error) {
	if credential.Session == 0 || len(credential.Secret) == 0 || len(credential.Secret) > MaxText {
		return nil, &Error{Op: "take over", Err: ErrInvalid, Detail: "the credential names no session or has no secret"}
	}
	if lineage := c.Lineage(); credential.Lineage != lineage {
		return nil, &Error{
			Op: "take over", Err: ErrSessionExpired, Cause: ErrNewLineage,
			Detail: fmt.Sprintf("the session is of lineage %d, the cluster of %d", credential.Lineage, lineage),
		}
	}
	var nonce [8]byte
	c.dice.fill(nonce[:])
	o := c.newOpening(slices.Clone(credential.Secret))
	take := &lockstepv1.TakeOverSession{Session: uint64(credential.Session), Secret: credential.Secret}
	for _, b := range nonce {
		take.Nonce = take.Nonce<<8 | uint64(b)
	}
	o.frame.Body = &lockstepv1.ClientFrame_TakeOverSession{TakeOverSession: take}
	o.build = func(f *lockstepv1.NodeFrame) error {
		taken := f.GetSessionTakenOver()
		if taken == nil {
			return unexpected("take over", "", f)
		}
		s := o.session
		s.id, s.incarnation = credential.Session, taken.GetIncarnation()
		s.begins(time.Duration(taken.GetTtlNs()), time.Duration(taken.GetGraceNs()), position(taken.GetPosition()))
		s.window = newWindow(taken.GetLastSequence())
		return nil
	}
	s, err := o.await(ctx, "take over")
	if err != nil {
		return nil, err
	}
	if err := s.inherit(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (c *Client) newOpening(secret []byte) *opening {
	s := &Session{
		client: c, link: c.quietest(), secret: secret, lineage: c.Lineage(), state: StateJeopardy,
		grants: make(map[Token]*held), watched: make(map[*held]struct{}),
		acquires: make(map[uint64]*acquire), nextOwner: FirstAutomaticOwner - 1,
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	o := &opening{client: c, session: s, done: make(chan error, 1)}
	o.asker, o.timed = o, true
	return o
}

// begins sets what the service has decided about the session.
func (s *Session) begins(ttl, grace time.Duration, at Position) {
	s.ttl, s.grace = ttl, grace
	s.interval = ttl / HeartbeatsPerTTL
	s.seen = at
	s.fetchedAt = s.client.mono().Now()
}

func (o *opening) await(ctx context.Context, op string) (*Session, error) {
	l := o.session.link
	l.mu.Lock()
	l.opening++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.opening--
		l.mu.Unlock()
	}()
	l.submit(&o.call)
	select {
	case err := <-o.done:
		if err != nil {
			return nil, ofOperation(op, "", err)
		}
		return o.session, nil
	case <-ctx.Done():
		uncertain, why := o.standing()
		e := unavailable(why)
		e.Op, e.Cause = op, errors.Join(context.Cause(ctx), why)
		if uncertain {
			e.Cause = errors.Join(e.Cause, ErrOutcomeUnknown)
		}
		go o.abandon()
		return nil, e
	}
}

// abandon ends a session that nobody waits for any more. A request that can have
// had no effect is forgotten.
func (o *opening) abandon() {
	l := o.session.link
	if l.giveUp(&o.call, false /* anyway */) {
		return
	}
	select {
	case err := <-o.done:
		if err == nil {
			_ = o.session.End(o.client.ctx)
		}
	case <-o.client.ctx.Done():
	}
}

// overdue implements asker.
func (o *opening) overdue(*call) bool {
	_, why := o.standing()
	select {
	case o.done <- unavailable(why):
	default:
	}
	return true
}

// answered implements asker.
func (o *opening) answered(c *call, f *lockstepv1.NodeFrame, err error) {
	if err == nil && f.GetRefusal() != nil {
		err = refused("", "", f.GetRefusal())
	}
	if err == nil {
		err = o.build(f)
	}
	if err == nil {
		o.session.link.register(o.session, c.via)
	}
	select {
	case o.done <- err:
	default:
	}
}

// register adds a session that the connection via speaks for already.
func (l *link) register(s *Session, via *conn) {
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.sessions[s.id] = s
		if l.conn == via {
			s.bound = via
			if s.synced { // opened just now: its first heartbeat has time
				s.nextBeat = l.client.mono().Now().Add(s.interval)
			}
			via.kickLocked()
		} else {
			s.synced = false
			l.bindLocked(s)
		}
	}
	l.mu.Unlock()
	if closed {
		s.over(&Error{Op: "session", Err: ErrSessionExpired, Cause: ErrClosed})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.believeLocked(s.client.now())
}

// inherit learns what a taken-over session holds, withdraws what it waited for,
// and waits for belief.
func (s *Session) inherit(ctx context.Context) error {
	q := newQuestion("take over", "")
	q.session, q.timed = s, true
	q.frame.Body = &lockstepv1.ClientFrame_GetSession{GetSession: &lockstepv1.GetSession{Session: uint64(s.id)}}
	answer, err := s.link.ask(ctx, q)
	if err != nil {
		return err
	}
	state := answer.GetSessionState()
	if state == nil {
		return unexpected("take over", "", answer)
	}
	if over := s.applyState(state, q.firstSending()); over != nil {
		s.over(over)
		return ofSession("take over", "", over)
	}
	s.mu.Lock()
	for _, hg := range state.GetGrants() {
		h := s.grants[Token(hg.GetGrant().GetToken())]
		if h == nil {
			continue
		}
		for range hg.GetGrant().GetCount() {
			h.handles = append(h.handles, &Grant{session: s, held: h})
		}
		s.nextOwner = max(s.nextOwner, h.info.Owner)
	}
	for _, w := range state.GetWaiters() {
		s.nextOwner = max(s.nextOwner, OwnerID(w.GetOwner()))
		s.issueLocked(&newWithdrawal(s, w.GetSequence()).request)
	}
	s.mu.Unlock()
	return s.awaitBelief(ctx)
}

// awaitBelief returns when the session is ALIVE.
func (s *Session) awaitBelief(ctx context.Context) error {
	events := s.Events()
	for {
		select {
		case e, open := <-events:
			switch {
			case !open || e.State == StateExpired:
				return ofSession("take over", "", s.cause)
			case e.State == StateAlive:
				return nil
			}
		case <-ctx.Done():
			return &Error{Op: "take over", Err: ErrUnavailable, Detail: "no heartbeat was acknowledged yet", Cause: context.Cause(ctx)}
		}
	}
}

// withdrawal cancels a request of an earlier incarnation. What was granted
// meanwhile stays with the session.
type withdrawal struct {
	request
	s *Session
}

func newWithdrawal(s *Session, target uint64) *withdrawal {
	w := &withdrawal{s: s}
	w.asker = w
	w.frame.Body = &lockstepv1.ClientFrame_Cancel{Cancel: &lockstepv1.Cancel{Header: &w.header, Target: target}}
	return w
}

func (w *withdrawal) answered(_ *call, f *lockstepv1.NodeFrame, _ error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.doneLocked(w.sequence)
	if g := f.GetCancelled().GetGrant(); g != nil {
		if h := w.s.grants[Token(g.GetToken())]; h != nil {
			h.handles = append(h.handles, &Grant{session: w.s, held: h})
		} else {
			w.s.fetchLocked()
		}
	}
}

func (w *withdrawal) overdue(*call) bool { return false }

package simnet

import (
	"context"
	"fmt"
	"time"

	"github.com/jonboulle/clockwork"

	"lockstep/transport"
)

// conn is a connection seen from above: its two sides.
type conn struct{ dialer, listener *side }

// side is one end of a connection. Its fields are guarded by net.mu.
type side struct {
	net    *Net
	conn   *conn
	host   string
	peer   transport.Peer
	remote *side
	// port is where a dialing side wants to; "" on the other.
	port string

	ctx    context.Context
	cancel context.CancelCauseFunc
	// established: the handshake is over on this side. err: why this side ended.
	// vanished: it ended without telling the other.
	established bool
	err         error
	vanished    bool
	changed     signal

	// queue holds what this side sent and the other has not got yet, in order.
	queue []parcel
	pumps clockwork.Timer
	// silence runs while nothing can come from the other side.
	silence clockwork.Timer

	streams    map[uint64]*stream
	nextStream uint64
	// slots is how many more streams the peer lets this side open.
	slots    int
	incoming []*stream
}

var _ transport.Conn = (*side)(nil)

// connect makes the two sides of a connection and sends the first packet.
func (n *Net) connect(from, to *Host, port string) *side {
	c := &conn{}
	c.dialer = n.newSide(c, from, to, 1 /* first stream */)
	c.listener = n.newSide(c, to, from, 2 /* first stream */)
	c.dialer.remote, c.listener.remote = c.listener, c.dialer
	c.dialer.port = port
	c.dialer.peer.Address = to.name + ":" + port
	n.conns = append(n.conns, c)
	c.dialer.send(parcel{kind: parcelConnect})
	return c.dialer
}

func (n *Net) newSide(c *conn, here, there *Host, firstStream uint64) *side {
	s := &side{
		net: n, conn: c, host: here.name,
		peer:    transport.Peer{Principal: there.who.Principal, Node: there.who.Node, Address: there.name},
		streams: map[uint64]*stream{}, nextStream: firstStream, slots: n.cfg.MaxStreams,
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// OpenStream implements transport.Conn.
func (s *side) OpenStream(ctx context.Context, purpose transport.Purpose) (transport.Stream, error) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	for {
		switch {
		case s.err != nil:
			return nil, s.err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case s.slots > 0:
			s.slots--
			st := s.newStream(s.nextStream, purpose)
			st.opener = true
			s.nextStream += 2
			return st, nil
		}
		s.net.wait(&s.changed, ctx.Done(), noDeadline)
	}
}

// AcceptStream implements transport.Conn.
func (s *side) AcceptStream(ctx context.Context) (transport.Stream, error) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	for {
		switch {
		case s.err != nil:
			return nil, s.err
		case len(s.incoming) > 0:
			st := s.incoming[0]
			s.incoming = s.incoming[1:]
			return st, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		s.net.wait(&s.changed, ctx.Done(), noDeadline)
	}
}

// Peer implements transport.Conn.
func (s *side) Peer() transport.Peer { return s.peer }

// Context implements transport.Conn.
func (s *side) Context() context.Context { return s.ctx }

// Close implements transport.Conn.
func (s *side) Close(reason string) error {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.closeFor(reason)
	return nil
}

func (s *side) closeFor(reason string) {
	reason = transport.ClipReason(reason)
	s.close(&transport.CloseError{Reason: reason}, reason)
}

// close ends this side with err and tells the other the reason.
func (s *side) close(err error, reason string) {
	if s.err != nil {
		return
	}
	s.send(parcel{kind: parcelClose, err: &transport.CloseError{Reason: reason, Remote: true}})
	s.finish(err)
}

// end ends this side without telling the other, which notices the silence.
func (s *side) end(err error) {
	if s.err != nil {
		return
	}
	s.vanished = true
	if s.net.link(s.host, s.remote.host).cut {
		s.queue = nil // a process that is gone sends nothing again
	}
	s.finish(err)
	s.remote.watchSilence()
}

// abandon ends a dialing side whose handshake is not over.
func (s *side) abandon(err error) {
	if s.remote.established {
		s.close(err, "the dialer gave up")
		return
	}
	s.queue = nil
	s.finish(err)
	s.remote.finish(err)
}

func (s *side) finish(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.cancel(err)
	s.watchSilence()
	s.changed.fire()
	for _, st := range s.streams {
		st.readable.fire()
		st.writable.fire()
	}
	s.streams, s.incoming = nil, nil
	if s.remote.err != nil {
		s.net.forget(s.conn)
	}
}

// watchSilence starts or stops the idle timer.
func (s *side) watchSilence() {
	silent := s.established && s.err == nil &&
		(s.net.link(s.remote.host, s.host).cut || s.remote.vanished)
	switch {
	case silent && s.silence == nil:
		var timer clockwork.Timer
		timer = s.net.clocks.Mono.AfterFunc(s.net.cfg.IdleTimeout, func() {
			s.net.mu.Lock()
			defer s.net.mu.Unlock()
			if s.silence == timer {
				s.end(fmt.Errorf("%w: nothing heard of %s for %v", transport.ErrLost, s.remote.host, s.net.cfg.IdleTimeout))
			}
		})
		s.silence = timer
	case !silent && s.silence != nil:
		s.silence.Stop()
		s.silence = nil
	}
}

// send puts a parcel on its way; without latency and with a whole link it is
// there when send returns, and its bytes are not copied on the way.
func (s *side) send(p parcel) {
	if s.err != nil {
		return
	}
	l := s.net.link(s.host, s.remote.host)
	if len(s.queue) == 0 && !l.cut && l.latency == 0 {
		s.remote.receive(p)
		return
	}
	p.data = append([]byte(nil), p.data...)
	p.due = s.net.clocks.Mono.Now().Add(l.latency)
	if last := len(s.queue) - 1; last >= 0 && s.queue[last].due.After(p.due) {
		p.due = s.queue[last].due
	}
	s.queue = append(s.queue, p)
	if s.pumps == nil {
		s.pump()
	}
}

// pump delivers what is due and sets a timer for the rest.
func (s *side) pump() {
	if s.pumps != nil {
		s.pumps.Stop()
		s.pumps = nil
	}
	for len(s.queue) > 0 && !s.net.link(s.host, s.remote.host).cut {
		p := s.queue[0]
		if left := p.due.Sub(s.net.clocks.Mono.Now()); left > 0 {
			s.pumpAfter(left)
			return
		}
		s.queue = s.queue[1:]
		s.remote.receive(p)
	}
}

func (s *side) pumpAfter(d time.Duration) {
	var timer clockwork.Timer
	timer = s.net.clocks.Mono.AfterFunc(d, func() {
		s.net.mu.Lock()
		defer s.net.mu.Unlock()
		if s.pumps == timer {
			s.pump()
		}
	})
	s.pumps = timer
}

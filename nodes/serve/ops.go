package serve

import (
	"context"
	"errors"
	"io"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/lease"
	"lockstep/nodes/peers"
	"lockstep/nodes/propose"
	"lockstep/nodes/tenure"
	"lockstep/nodes/wire"
	"lockstep/transport"
)

// answerBytes bounds what waits to be written to one client: one that reads more
// slowly than it asks is cut off.
const answerBytes = 8 << 20

// opsStream is one stream of requests and answers.
type opsStream struct {
	server *Server
	ctx    context.Context
	conn   *conn
	stream transport.Stream
	out    *transport.FrameWriter
	hello  *lockstepv1.Hello
	relay  *relay // to the leader; nil until needed
	led    bool   // touched by the reading goroutine only
	// pushed are the sessions that hear of their events here; ended is set when the
	// stream has ended. pushes.mu guards both.
	pushed map[engine.SessionID]struct{}
	ended  bool
}

// serveOps reads requests until the stream ends.
func (s *Server) serveOps(ctx context.Context, in *peers.Inbound) {
	c := s.enter(ctx, in)
	defer s.conns.leave(c)
	o := &opsStream{
		server: s, ctx: ctx, conn: c, stream: in.Stream, hello: in.Hello,
		out: transport.NewFrameWriter(in.Stream, answerBytes), pushed: map[engine.SessionID]struct{}{},
	}
	err := o.read(in.Frames)
	s.pushes.remove(o)
	s.unlead(o)
	if o.relay != nil {
		o.relay.close()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, transport.ErrMalformed) || errors.Is(err, transport.ErrFrameTooLarge) {
		// The client has said all it had to, or all that makes sense; what was
		// answered reaches it before the end.
		_ = o.out.Close(ctx) // the stream ends either way
		_ = in.Stream.CloseWrite()
		return
	}
	o.out.Fail(err)
	in.Stream.Reset()
}

// enter finds the connection that a stream belongs to.
func (s *Server) enter(ctx context.Context, in *peers.Inbound) *conn {
	if in.Hello.GetKind() == lockstepv1.Hello_KIND_RELAY {
		return s.conns.enter(connKey{
			node: in.Hello.GetFromNode(), number: in.Hello.GetRelayedConnection(), principal: in.Hello.GetRelayedPrincipal(),
		})
	}
	c := s.conns.enter(connKey{conn: in.Conn, principal: in.Peer.Principal})
	context.AfterFunc(ctx, func() { s.conns.forget(c) })
	return c
}

func (o *opsStream) read(frames *transport.FrameReader) error {
	for {
		payload, err := frames.Read()
		if errors.Is(err, transport.ErrFrameTooLarge) {
			o.problem(0, invalid("a frame is too large: %v", err))
		}
		if err != nil {
			return err
		}
		f := &lockstepv1.ClientFrame{}
		if err := transport.DecodeMessage(payload, f); err != nil {
			o.problem(0, invalid("a frame is no request: %v", err))
			return err
		}
		if f.GetId() == 0 {
			o.problem(0, invalid("a request has id 0, which is for pushes"))
			continue
		}
		o.dispatch(f, payload)
	}
}

// dispatch serves a request here or relays it to the leader.
func (o *opsStream) dispatch(f *lockstepv1.ClientFrame, payload []byte) {
	kind := wire.KindOf(f)
	if p := wire.CheckSecret(f); p != nil {
		o.problem(f.GetId(), p)
		return
	}
	switch kind {
	case wire.Nothing:
		o.problem(f.GetId(), invalid("the request has no body that this node knows: is the client newer than the node?"))
		return
	case wire.NodeRead:
		o.server.status(o, f.GetId())
		return
	case wire.Listing:
		if stale, ok := staleness(f); ok {
			o.server.staleRead(o, f, stale)
			return
		}
	case wire.Mutation, wire.SessionRead:
		if id := wire.SessionOf(f); !o.conn.isBound(id) {
			o.problem(f.GetId(), notBound(uint64(id)))
			return
		}
	case wire.Opening, wire.Binding:
	}
	if t := o.server.office.Current(); t != nil {
		o.server.lead(o)
		o.lead(t, kind, f)
		return
	}
	o.forward(kind, f, payload)
}

// lead serves a request as the leader.
func (o *opsStream) lead(t *tenure.Tenure, kind wire.Kind, f *lockstepv1.ClientFrame) {
	switch kind {
	case wire.Opening, wire.Mutation:
		o.propose(t, f)
	case wire.Binding:
		o.bind(t, f.GetId(), f.GetBindSession())
	case wire.SessionRead, wire.Listing:
		o.linearizable(t, f)
	case wire.Nothing, wire.NodeRead:
		// Dispatch has answered them.
	}
}

// propose hands a command to the tenure.
func (o *opsStream) propose(t *tenure.Tenure, f *lockstepv1.ClientFrame) {
	command := wire.Command(f, o.conn.key.principal)
	if refused := engine.Check(command, o.server.limits); refused != nil {
		o.send(wire.Answer(f.GetId(), refused))
		return
	}
	if err := t.Submit(command, &completion{stream: o, tenure: t, id: f.GetId(), command: command}); err != nil {
		o.problem(f.GetId(), o.server.problem(err))
	}
}

// completion answers a request when the log has decided it.
type completion struct {
	stream  *opsStream
	tenure  *tenure.Tenure
	id      uint64
	command engine.Command
}

// Decided implements propose.Completion.
func (c *completion) Decided(result engine.Result) {
	switch r := result.(type) {
	case *engine.Opened:
		opened := *r
		opened.Position = c.stream.boundNow(r.Session, r.Incarnation)
		result = &opened
	case *engine.TakenOver:
		c.takenOver(r)
		return
	default:
		// Nothing is bound by the others.
	}
	c.stream.send(wire.Answer(c.id, result))
}

// takenOver answers a take-over once it counts as a heartbeat: an expiry that was
// decided before it may stand behind it in the log, and the client believes in the
// session from the answer on.
func (c *completion) takenOver(r *engine.TakenOver) {
	id := c.command.(*engine.TakeOver).Session
	done := func(verdict lease.Verdict, err error) {
		switch {
		case err != nil:
			c.Failed(err)
		case verdict != lease.Fine:
			c.Failed(propose.ErrUnknown)
		default:
			taken := *r
			taken.Position = c.stream.boundNow(id, r.Incarnation)
			c.stream.send(wire.Answer(c.id, &taken))
		}
	}
	c.tenure.Heartbeat([]engine.SessionID{id}, []tenure.HeartbeatDone{done})
}

// Failed implements propose.Completion.
func (c *completion) Failed(err error) { c.stream.problem(c.id, c.stream.server.problem(err)) }

// boundNow binds a session between two entries and returns the position after
// which its events are pushed: entries after the one that answered the request
// may have been applied by now.
func (o *opsStream) boundNow(id engine.SessionID, incarnation uint32) (at engine.Position) {
	o.server.replica.Locked(func(e *engine.Engine) {
		at = engine.Position{Index: e.Index(), N: ^uint32(0)}
		o.bound(id, incarnation)
	})
	return at
}

// bound notes that the connection speaks for a session, and pushes its events on
// this stream from now on.
func (o *opsStream) bound(id engine.SessionID, incarnation uint32) {
	o.conn.bind(id, incarnation)
	o.server.pushes.add(id, o)
}

func (o *opsStream) problem(id uint64, p *lockstepv1.Problem) {
	o.send(&lockstepv1.NodeFrame{Id: id, Body: &lockstepv1.NodeFrame_Problem{Problem: p}})
}

// send never blocks: it is called from the goroutines that serve everybody.
func (o *opsStream) send(f *lockstepv1.NodeFrame) {
	o.check(o.out.TryEnqueueMessage(f))
}

func (o *opsStream) check(err error) {
	if errors.Is(err, transport.ErrFull) {
		o.server.logger.Warn("client cut off: it does not read its answers", "principal", o.conn.key.principal)
		o.out.Fail(errSlowReader)
		o.stream.Reset()
	}
}

package serve

import (
	"context"
	"sync"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/lease"
	"lockstep/nodes/peers"
	"lockstep/nodes/tenure"
	"lockstep/nodes/wire"
	"lockstep/transport"
)

// heartbeatBytes bounds what waits to be written to one client.
const heartbeatBytes = 1 << 20

// beatStream is one stream of heartbeats.
type beatStream struct {
	server *Server
	conn   *conn
	stream transport.Stream
	out    *transport.FrameWriter
	relay  *relay
}

func (s *Server) serveHeartbeats(ctx context.Context, in *peers.Inbound) {
	c := s.enter(ctx, in)
	defer s.conns.leave(c)
	b := &beatStream{server: s, conn: c, stream: in.Stream, out: transport.NewFrameWriter(in.Stream, heartbeatBytes)}
	err := b.read(ctx, in.Frames)
	if b.relay != nil {
		b.relay.close()
	}
	b.out.Fail(err)
	in.Stream.Reset()
}

func (b *beatStream) read(ctx context.Context, frames *transport.FrameReader) error {
	for {
		payload, err := frames.Read()
		if err != nil {
			return err
		}
		bundle := &lockstepv1.HeartbeatRequest{}
		if err := transport.DecodeMessage(payload, bundle); err != nil {
			return err
		}
		if t := b.server.office.Current(); t != nil {
			b.lead(t, bundle)
			continue
		}
		b.forward(ctx, bundle)
	}
}

// lead answers a bundle as the leader, when each of its heartbeats is decided.
func (b *beatStream) lead(t *tenure.Tenure, bundle *lockstepv1.HeartbeatRequest) {
	reply := &bundleReply{
		stream: b, tenure: t,
		reply: &lockstepv1.HeartbeatReply{Id: bundle.GetId()},
		open:  len(bundle.GetHeartbeats()),
	}
	if reply.open == 0 {
		b.send(reply.reply)
		return
	}
	reply.reply.Results = make([]*lockstepv1.HeartbeatResult, reply.open)
	ids := make([]engine.SessionID, 0, reply.open)
	done := make([]tenure.HeartbeatDone, 0, reply.open)
	for i, h := range bundle.GetHeartbeats() {
		result := &lockstepv1.HeartbeatResult{Session: h.GetSession()}
		reply.reply.Results[i] = result
		id := engine.SessionID(h.GetSession())
		switch {
		case !b.conn.isBound(id):
			result.Verdict = lockstepv1.HeartbeatResult_VERDICT_NOT_BOUND
		case b.server.superseded(id, h.GetIncarnation()):
			result.Verdict = lockstepv1.HeartbeatResult_VERDICT_SUPERSEDED
		}
		if result.GetVerdict() != lockstepv1.HeartbeatResult_VERDICT_UNSPECIFIED {
			reply.settle(nil)
			continue
		}
		ids = append(ids, id)
		done = append(done, func(verdict lease.Verdict, err error) { reply.decided(result, h.GetIncarnation(), verdict, err) })
	}
	t.Heartbeat(ids, done)
}

// superseded tells whether a newer incarnation is in the log: such a heartbeat
// must not keep the session alive.
func (s *Server) superseded(id engine.SessionID, incarnation uint32) (yes bool) {
	s.replica.Read(func(e *engine.Engine) {
		info, ok := e.Session(id)
		yes = ok && incarnation < info.Incarnation
	})
	return yes
}

// bundleReply waits until each heartbeat of a bundle is decided.
type bundleReply struct {
	stream *beatStream
	tenure *tenure.Tenure

	mu    sync.Mutex
	reply *lockstepv1.HeartbeatReply
	open  int
}

// decided fills in one session's result. What the answer says of the session is
// read now, after the heartbeat counted.
func (r *bundleReply) decided(result *lockstepv1.HeartbeatResult, incarnation uint32, verdict lease.Verdict, err error) {
	if err != nil {
		result.Verdict = lockstepv1.HeartbeatResult_VERDICT_UNDECIDED
		r.settle(err)
		return
	}
	switch verdict {
	case lease.Fine:
		r.describe(result, incarnation)
	case lease.Doomed:
		result.Verdict = lockstepv1.HeartbeatResult_VERDICT_UNDECIDED
	case lease.Unknown:
		result.Verdict = lockstepv1.HeartbeatResult_VERDICT_GONE
	case lease.NeedsAlive:
		result.Verdict = lockstepv1.HeartbeatResult_VERDICT_UNDECIDED
	}
	r.settle(nil)
}

func (r *bundleReply) describe(result *lockstepv1.HeartbeatResult, incarnation uint32) {
	r.stream.server.replica.Read(func(e *engine.Engine) {
		s, ok := e.Session(engine.SessionID(result.GetSession()))
		switch {
		case !ok || s.State == engine.SessionExpired:
			result.Verdict = lockstepv1.HeartbeatResult_VERDICT_GONE
		case incarnation < s.Incarnation:
			result.Verdict = lockstepv1.HeartbeatResult_VERDICT_SUPERSEDED
		default:
			result.Verdict = lockstepv1.HeartbeatResult_VERDICT_ALIVE
			result.TtlNs, result.GraceNs = int64(s.TTL), int64(s.Grace)
			result.GrantsPosition = wire.Position(s.GrantsChanged)
		}
	})
}

func (r *bundleReply) settle(err error) {
	r.mu.Lock()
	if err != nil && r.reply.Problem == nil {
		r.reply.Problem = r.stream.server.problem(err)
	}
	r.open--
	last := r.open == 0
	r.mu.Unlock()
	if last {
		r.stream.send(r.reply)
	}
}

func (b *beatStream) send(reply *lockstepv1.HeartbeatReply) {
	if err := b.out.TryEnqueueMessage(reply); err != nil {
		b.stream.Reset()
	}
}

// forward sends a bundle on to the leader, without the sessions that are not
// bound on this connection.
func (b *beatStream) forward(ctx context.Context, bundle *lockstepv1.HeartbeatRequest) {
	for _, h := range bundle.GetHeartbeats() {
		if b.conn.isBound(engine.SessionID(h.GetSession())) {
			continue
		}
		b.send(&lockstepv1.HeartbeatReply{Id: bundle.GetId(), Problem: notBound(h.GetSession())})
		return
	}
	if b.conn.relay {
		b.send(&lockstepv1.HeartbeatReply{
			Id: bundle.GetId(), Problem: b.server.noLeader(lockstepv1.Code_CODE_NO_LEADER, b.server.id.Node+" does not lead"),
		})
		return
	}
	if b.relay == nil {
		r, problem := b.server.openRelay(ctx, b.conn, transport.PurposeHeartbeat)
		if problem != nil {
			b.send(&lockstepv1.HeartbeatReply{Id: bundle.GetId(), Problem: problem})
			return
		}
		b.relay = r
		go b.backward(r)
	}
	if err := b.relay.writer.TryEnqueueMessage(bundle); err != nil {
		b.stream.Reset()
	}
}

func (b *beatStream) backward(r *relay) {
	defer b.stream.Reset()
	for {
		payload, err := r.out.Read()
		if err != nil {
			return
		}
		if err := b.out.TryEnqueue(payload); err != nil {
			return
		}
	}
}

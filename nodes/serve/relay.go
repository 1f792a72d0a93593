package serve

import (
	"context"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/peers"
	"lockstep/nodes/wire"
	"lockstep/transport"
)

// relayTimeout bounds the opening of a stream to the leader.
const relayTimeout = 750 * time.Millisecond

// relay carries a client's stream on to the leader. It ends with either side: the
// client then finds its way anew, and sends again what was not answered.
type relay struct {
	out    *peers.Outbound
	writer *transport.FrameWriter
	// asked are requests whose answer binds a session, by id; the reading and the
	// writing goroutine share it through the channel's order of request and answer.
	asked chan opening
}

// opening is a request that binds a session if it is granted.
type opening struct {
	id      uint64
	session engine.SessionID // 0: the answer tells
}

// openRelay opens a stream of this purpose to the leader for a client.
func (s *Server) openRelay(ctx context.Context, c *conn, purpose transport.Purpose) (*relay, *lockstepv1.Problem) {
	node, _ := s.raft.Leader()
	switch node {
	case "":
		return nil, s.noLeader(lockstepv1.Code_CODE_NO_LEADER,
			"no leader: "+s.id.Node+" hears of none; either an election is under way, or there is no quorum and nodes must be started")
	case s.id.Node:
		return nil, s.noLeader(lockstepv1.Code_CODE_NO_LEADER, s.id.Node+" was elected and is taking office; try again")
	}
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	out, err := s.peers.Open(ctx, node, lockstepv1.Hello_KIND_RELAY, purpose, &lockstepv1.Hello{
		RelayedPrincipal: c.key.principal, RelayedConnection: c.number,
	})
	if err != nil {
		return nil, s.noLeader(lockstepv1.Code_CODE_NO_LEADER, s.id.Node+" cannot reach the leader "+node+": "+err.Error())
	}
	return &relay{out: out, writer: transport.NewFrameWriter(out.Stream, answerBytes), asked: make(chan opening, maxOpenings)}, nil
}

// maxOpenings bounds how many requests that bind sessions a client may have open
// on one relayed stream.
const maxOpenings = 1024

func (r *relay) close() {
	r.writer.Fail(errRelayEnded)
	r.out.Stream.Reset()
}

// forward sends a request on to the leader. Only what names sessions that are
// bound on this connection, or binds one, comes here.
func (o *opsStream) forward(kind wire.Kind, f *lockstepv1.ClientFrame, payload []byte) {
	if o.conn.relay {
		o.problem(f.GetId(), o.server.noLeader(lockstepv1.Code_CODE_NO_LEADER, o.server.id.Node+" does not lead"))
		return
	}
	if o.relay == nil {
		r, problem := o.server.openRelay(o.ctx, o.conn, transport.PurposeOps)
		if problem != nil {
			o.problem(f.GetId(), problem)
			return
		}
		o.relay = r
		go o.backward(r)
	}
	if kind == wire.Opening || kind == wire.Binding {
		select {
		case o.relay.asked <- opening{f.GetId(), sessionOpened(f)}:
		default:
			o.problem(f.GetId(), &lockstepv1.Problem{
				Code: lockstepv1.Code_CODE_RESOURCE_EXHAUSTED, RetryAfterNs: int64(retryWhenFull),
				Detail: "too many sessions are being opened on this connection at once",
			})
			return
		}
	}
	if err := o.relay.writer.TryEnqueue(payload); err != nil {
		o.stream.Reset() // whatever is open on the relay is of unknown outcome
	}
}

func sessionOpened(f *lockstepv1.ClientFrame) engine.SessionID {
	if b := f.GetBindSession(); b != nil {
		return engine.SessionID(b.GetSession())
	}
	return engine.SessionID(f.GetTakeOverSession().GetSession())
}

// backward carries the leader's frames back, and notes which sessions it bound.
func (o *opsStream) backward(r *relay) {
	defer func() {
		// What the leader bound is not bound at the next one. The client shows its
		// secrets again, and so hears from where on it is told of events.
		o.conn.unbindAll()
		o.stream.Reset()
	}()
	open := map[uint64]engine.SessionID{}
	for {
		payload, err := r.out.Read()
		if err != nil {
			return
		}
		for waiting := true; waiting; {
			select {
			case a := <-r.asked:
				open[a.id] = a.session
			default:
				waiting = false
			}
		}
		if len(open) > 0 && !o.noteBound(open, payload) {
			return
		}
		if err := o.out.TryEnqueue(payload); err != nil {
			o.check(err)
			return
		}
	}
}

// noteBound looks into an answer that may bind a session; false: it is garbage.
func (o *opsStream) noteBound(open map[uint64]engine.SessionID, payload []byte) bool {
	f := &lockstepv1.NodeFrame{}
	if err := transport.DecodeMessage(payload, f); err != nil {
		return false
	}
	id, asked := open[f.GetId()]
	if !asked {
		return true
	}
	delete(open, f.GetId())
	switch b := f.GetBody().(type) {
	case *lockstepv1.NodeFrame_SessionOpened:
		o.conn.bind(engine.SessionID(b.SessionOpened.GetSession()), b.SessionOpened.GetIncarnation())
	case *lockstepv1.NodeFrame_SessionBound, *lockstepv1.NodeFrame_SessionTakenOver:
		o.conn.bind(id, 0)
	default:
		// Refused, or not decided: nothing is bound.
	}
	return true
}

package serve

import (
	"context"
	"log/slog"
	"sync"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/peers"
	"lockstep/nodes/questions"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/replica"
	"lockstep/nodes/tenure"
	"lockstep/transport"
	"lockstep/transport/clocks"
)

// Identity is what a node says of itself.
type Identity struct {
	Node, Cluster, Version string
	Lineage                uint64
}

// Peers opens and accepts streams; *peers.Manager is one.
type Peers interface {
	Open(ctx context.Context, node string, kind lockstepv1.Hello_Kind, purpose transport.Purpose, hello *lockstepv1.Hello) (*peers.Outbound, error)
	Handle(kind lockstepv1.Hello_Kind, purpose transport.Purpose, h peers.Handler)
}

// Raft is what the server tells of Raft.
type Raft interface {
	Term() uint64
	Leading() bool
	Leader() (node, address string)
	CommitIndex() uint64
	Members() []raftwire.Server
	Voters() []raftwire.Server
	Stats() raftwire.Stats
}

// Asker asks other nodes; *questions.Asker is one.
type Asker interface {
	Ask(node string, q *lockstepv1.PeerRequest, reply questions.Reply)
}

// Deps is what a Server is given; all fields are required.
type Deps struct {
	Identity Identity
	Limits   engine.Limits
	Replica  *replica.Replica
	Office   *tenure.Office
	Peers    Peers
	Raft     Raft
	Asker    Asker
	Clocks   clocks.Clocks
	Logger   *slog.Logger
	// RelayBase is random: connections are named to other nodes from it on, so
	// that a restarted node does not use names again.
	RelayBase uint64
}

// Server answers clients. All methods may be called from any goroutine.
type Server struct {
	id      Identity
	limits  engine.Limits
	replica *replica.Replica
	office  *tenure.Office
	peers   Peers
	raft    Raft
	asker   Asker
	clocks  clocks.Clocks
	logger  *slog.Logger
	conns   conns
	pushes  pushes
	fresh   freshness
	started int64

	mu sync.Mutex
	// led are the ops streams that were served in the tenure that runs.
	led map[*opsStream]struct{}
}

var _ replica.Sink = (*Server)(nil)

// New returns a server. It subscribes to the replica, so that it must be made
// before Raft applies anything; Start begins its work.
func New(deps Deps) *Server {
	s := &Server{
		id: deps.Identity, limits: deps.Limits, replica: deps.Replica, office: deps.Office, peers: deps.Peers,
		clocks: deps.Clocks, logger: deps.Logger, led: map[*opsStream]struct{}{}, started: int64(deps.Clocks.Boot()),
	}
	s.conns = conns{open: map[connKey]*conn{}, next: deps.RelayBase}
	s.pushes = pushes{streams: map[engine.SessionID]*opsStream{}}
	s.replica.Subscribe(s)
	p := deps.Peers
	p.Handle(lockstepv1.Hello_KIND_CLIENT, transport.PurposeOps, s.serveOps)
	p.Handle(lockstepv1.Hello_KIND_RELAY, transport.PurposeOps, s.serveOps)
	p.Handle(lockstepv1.Hello_KIND_CLIENT, transport.PurposeHeartbeat, s.serveHeartbeats)
	p.Handle(lockstepv1.Hello_KIND_RELAY, transport.PurposeHeartbeat, s.serveHeartbeats)
	return s
}

// Start gives the server its Raft and its asker, before the first stream arrives.
func (s *Server) Start(raft Raft, asker Asker) {
	s.raft, s.asker = raft, asker
}

// Applied implements replica.Sink: bound sessions hear of their events.
func (s *Server) Applied(_ *engine.Engine, a *replica.Applied) { s.pushes.applied(a) }

// Restored implements replica.Sink: whoever was pushed events would miss some.
func (s *Server) Restored(*engine.Engine) {
	go s.dropLed("the node's state was restored from a snapshot")
}

// TenureChanged is called when a tenure has begun or ended. Bindings and pushes
// belong to a tenure: streams that were served in an earlier one are closed, and
// their clients find the new leader.
func (s *Server) TenureChanged() {
	if s.office.Current() == nil {
		go s.dropLed("this node has stopped leading")
	}
}

// farewell is how long the streams of a tenure that is over are left to carry the
// last answers: what was in flight, and is of unknown outcome.
const farewell = 50 * time.Millisecond

func (s *Server) dropLed(why string) {
	s.mu.Lock()
	led := s.led
	s.led = map[*opsStream]struct{}{}
	s.mu.Unlock()
	if len(led) > 0 {
		s.logger.Info("closing client streams", "streams", len(led), "reason", why)
	}
	for o := range led {
		o.conn.unbindAll()
	}
	s.clocks.Mono.AfterFunc(farewell, func() {
		for o := range led {
			o.stream.Reset()
		}
	})
}

// lead notes that a stream is served by this node's tenure.
func (s *Server) lead(o *opsStream) {
	if o.led {
		return
	}
	s.mu.Lock()
	s.led[o] = struct{}{}
	s.mu.Unlock()
	o.led = true
}

func (s *Server) unlead(o *opsStream) {
	s.mu.Lock()
	delete(s.led, o)
	s.mu.Unlock()
}

// leader is where the leader is, or nil.
func (s *Server) leader() *lockstepv1.Member {
	node, address := s.raft.Leader()
	if node == "" {
		return nil
	}
	return &lockstepv1.Member{Node: node, Address: address, Voter: true}
}

// Members are the nodes of the cluster.
func (s *Server) members() []*lockstepv1.Member {
	var out []*lockstepv1.Member
	for _, m := range s.raft.Members() {
		out = append(out, &lockstepv1.Member{Node: m.Node, Address: m.Address, Voter: m.Voter})
	}
	return out
}

// Welcome is what every stream is welcomed with.
func (s *Server) Welcome() *lockstepv1.Welcome {
	if s.raft == nil {
		return &lockstepv1.Welcome{}
	}
	return &lockstepv1.Welcome{Leader: s.leader(), Members: s.members()}
}

// Connections is how many client connections have streams open or sessions bound.
func (s *Server) Connections() int { return s.conns.count() }

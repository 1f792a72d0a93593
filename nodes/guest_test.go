package nodes_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/nodestest"
	"lockstep/transport"
)

// guest is a client of one session that says exactly what the test tells it to.
type guest struct {
	t       *testing.T
	c       *nodestest.Cluster
	name    string
	network transport.Network
	host    string
	secret  []byte

	session  uint64
	sequence uint64
	conn     transport.Conn
	ops      *nodestest.Caller
	beats    *nodestest.Beater
}

const (
	ttl   = 10 * time.Second
	grace = 4 * time.Second
)

// newGuest opens a session at a node.
func newGuest(t *testing.T, c *nodestest.Cluster, name, node string) *guest {
	t.Helper()
	g := &guest{t: t, c: c, name: name, secret: []byte("the secret of " + name + ", long enough")}
	g.network, g.host = c.Client(name)
	g.connect(node)
	opened := g.ops.Must(openSession(g.secret)).GetSessionOpened()
	require.NotNil(t, opened)
	g.session = opened.GetSession()
	return g
}

func openSession(secret []byte) *lockstepv1.ClientFrame {
	return &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_OpenSession{OpenSession: &lockstepv1.OpenSession{
		Secret: secret, TtlNs: int64(ttl), GraceNs: int64(grace), Label: "test",
	}}}
}

// connect goes to a node, without binding anything.
func (g *guest) connect(node string) {
	g.t.Helper()
	g.conn = g.c.Connect(g.network, node)
	g.ops = nodestest.NewCaller(g.t, g.conn)
	g.beats = nodestest.NewBeater(g.t, g.conn)
}

// move goes to a node and binds the session there, which works as soon as there is
// a leader.
func (g *guest) move(node string) {
	g.t.Helper()
	g.c.Await(g.name+" binds its session at "+node, func() bool {
		g.connect(node)
		f, err := g.ops.Call(g.binding())
		return err == nil && f.GetSessionBound() != nil
	})
}

func (g *guest) binding() *lockstepv1.ClientFrame {
	return &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_BindSession{BindSession: &lockstepv1.BindSession{
		Session: g.session, Incarnation: 1, Secret: g.secret,
	}}}
}

func (g *guest) header() *lockstepv1.RequestHeader {
	g.sequence++
	return &lockstepv1.RequestHeader{Session: g.session, Incarnation: 1, Sequence: g.sequence}
}

func (g *guest) acquireFrame(path string, wait, hold time.Duration) *lockstepv1.ClientFrame {
	return &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_Acquire{Acquire: &lockstepv1.Acquire{
		Header: g.header(), Owner: 1, Path: path, Mode: lockstepv1.Mode_MODE_EXCLUSIVE, WaitNs: int64(wait), HoldNs: int64(hold),
	}}}
}

// acquire must be granted at once. Everything before it has been answered.
func (g *guest) acquire(path string) *lockstepv1.Grant {
	g.t.Helper()
	request := g.acquireFrame(path, 0, 0)
	request.GetAcquire().Header.AcknowledgedThrough = g.sequence - 1
	f := g.ops.Must(request)
	require.NotNil(g.t, f.GetGranted(), "%v", f)
	return f.GetGranted().GetGrant()
}

// queue must be queued, and waits for ever.
func (g *guest) queue(path string) *lockstepv1.Queued {
	g.t.Helper()
	f := g.ops.Must(g.acquireFrame(path, -1, 0))
	require.NotNil(g.t, f.GetQueued(), "%v", f)
	return f.GetQueued()
}

func (g *guest) release(grant *lockstepv1.Grant) {
	g.t.Helper()
	f := g.ops.Must(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_Release{Release: &lockstepv1.Release{
		Header: g.header(), Owner: 1, Path: grant.GetPath(), Token: grant.GetToken(),
	}}})
	require.NotNil(g.t, f.GetReleased(), "%v", f)
}

// state asks for all that the session holds.
func (g *guest) state() *lockstepv1.NodeFrame {
	g.t.Helper()
	return g.ops.Must(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_GetSession{GetSession: &lockstepv1.GetSession{Session: g.session}}})
}

// beat sends one heartbeat and tells its verdict.
func (g *guest) beat() lockstepv1.HeartbeatResult_Verdict {
	g.t.Helper()
	reply, err := g.beats.Beat(g.session)
	if err != nil || reply.GetProblem() != nil {
		return lockstepv1.HeartbeatResult_VERDICT_UNDECIDED
	}
	require.Len(g.t, reply.GetResults(), 1)
	return reply.GetResults()[0].GetVerdict()
}

// granted waits until the session has been pushed a grant on path.
func (g *guest) granted(path string) *lockstepv1.Event {
	g.t.Helper()
	var found *lockstepv1.Event
	g.c.Await(g.name+" hears of its grant on "+path, func() bool {
		for _, pushed := range g.ops.Pushed() {
			for _, e := range pushed.GetEvents() {
				if e.GetKind() == lockstepv1.EventKind_EVENT_KIND_GRANTED && e.GetPath() == path {
					found = e
				}
			}
		}
		return found != nil
	})
	return found
}

// sleep lets time pass on the cluster's clock.
func sleep(c *nodestest.Cluster, d time.Duration) { <-c.Clocks().Mono.After(d) }

const alive = lockstepv1.HeartbeatResult_VERDICT_ALIVE

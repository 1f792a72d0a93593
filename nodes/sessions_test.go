package nodes_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/nodestest"
)

// over tells whether a running node's state says that the session is over.
func over(c *nodestest.Cluster, id uint64) bool {
	for _, name := range c.Names() {
		if c.Node(name) == nil {
			continue
		}
		gone := false
		c.Node(name).Replica().Read(func(e *engine.Engine) {
			s, found := e.Session(engine.SessionID(id))
			gone = e.LastToken() > 0 && (!found || s.State == engine.SessionExpired)
		})
		if gone {
			return true
		}
	}
	return false
}

// awaitOver waits until the session is over and tells how long after since.
func awaitOver(c *nodestest.Cluster, id uint64, since time.Time) time.Duration {
	c.Await("the session's end", func() bool { return over(c, id) })
	return c.Clocks().Mono.Since(since)
}

func TestSessionLivesAsLongAsItBeatsAndEndsATTLLater(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		g := newGuest(t, c, "g", c.Leader())
		g.acquire("/a")
		var last time.Time
		for range 10 {
			sleep(c, ttl/5)
			last = c.Clocks().Mono.Now()
			require.Equal(t, alive, g.beat())
		}
		lived := awaitOver(c, g.session, last)
		assert.GreaterOrEqual(t, lived, ttl)
		assert.LessOrEqual(t, lived, ttl+time.Second)
		other := newGuest(t, c, "other", c.Leader())
		other.acquire("/a")
	})
}

func TestLeaderChangeNeverEndsASessionEarly(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		g := newGuest(t, c, "g", leader)
		g.acquire("/a")
		sleep(c, 3*time.Second)
		last := c.Clocks().Mono.Now()
		require.Equal(t, alive, g.beat(), "recorded silence is undone first")
		c.Crash(leader)
		c.Leader()
		lived := awaitOver(c, g.session, last)
		assert.GreaterOrEqual(t, lived, ttl)
		assert.LessOrEqual(t, lived, 2*ttl, "a new tenure counts a TTL")
	})
}

// A session dies although no tenure is long enough for its TTL: silence is in the
// log, and each tenure adds what it observed itself.
func TestSilenceOutlivesTenures(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		g := newGuest(t, c, "g", c.Leader())
		g.acquire("/a")
		since := c.Clocks().Mono.Now()
		for !over(c, g.session) {
			require.Less(t, c.Clocks().Mono.Since(since), 6*ttl, "it never dies")
			leader := c.Leader()
			sleep(c, ttl/4+500*time.Millisecond)
			c.Shutdown(leader)
			c.Restart(leader)
		}
		assert.GreaterOrEqual(t, c.Clocks().Mono.Since(since), ttl)
	})
}

// A leader without its quorum must not keep a client believing.
func TestIsolatedLeaderAcknowledgesNothing(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		g := newGuest(t, c, "g", leader)
		g.acquire("/a")
		require.Equal(t, alive, g.beat())
		c.Isolate(leader)
		assert.NotEqual(t, alive, g.beat())
		f, err := g.ops.Call(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_Validate{Validate: &lockstepv1.Validate{
			Session: g.session, Owner: 1, Path: "/a", Token: 1,
		}}})
		if err == nil {
			assert.NotNil(t, f.GetProblem(), "%v", f)
		}
		c.Net().HealAll()
		g.move(c.Leader())
		c.Await("an acknowledged heartbeat", func() bool { return g.beat() == alive })
	})
}

func TestSilentSessionIsInJeopardyAndRecovers(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		g := newGuest(t, c, "g", c.Leader())
		g.acquire("/a")
		sleep(c, ttl/2)
		state := g.state().GetSessionState()
		assert.Equal(t, lockstepv1.SessionStateKind_SESSION_STATE_KIND_JEOPARDY, state.GetSession().GetState())
		require.Equal(t, alive, g.beat())
		state = g.state().GetSessionState()
		assert.Equal(t, lockstepv1.SessionStateKind_SESSION_STATE_KIND_ALIVE, state.GetSession().GetState())
		assert.Zero(t, state.GetSession().GetSilenceNs())
		var kinds []lockstepv1.EventKind
		for _, pushed := range g.ops.Pushed() {
			for _, e := range pushed.GetEvents() {
				kinds = append(kinds, e.GetKind())
			}
		}
		assert.Contains(t, kinds, lockstepv1.EventKind_EVENT_KIND_SESSION_JEOPARDY)
		assert.Contains(t, kinds, lockstepv1.EventKind_EVENT_KIND_SESSION_ALIVE)
	})
}

func TestTakeOverShutsTheOldProcessOut(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		old := newGuest(t, c, "g", c.Leader())
		grant := old.acquire("/a")
		conn := c.Connect(old.network, c.Leader())
		ops := nodestest.NewCaller(t, conn)
		frame := &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_TakeOverSession{TakeOverSession: &lockstepv1.TakeOverSession{
			Session: old.session, Secret: old.secret, Nonce: 7,
		}}}
		taken := ops.Must(frame).GetSessionTakenOver()
		require.NotNil(t, taken)
		assert.EqualValues(t, 2, taken.GetIncarnation())
		assert.EqualValues(t, 1, taken.GetLastSequence())
		again := ops.Must(frame).GetSessionTakenOver()
		assert.EqualValues(t, 2, again.GetIncarnation(), "the same nonce takes over once")

		assert.Equal(t, lockstepv1.HeartbeatResult_VERDICT_SUPERSEDED, old.beat())
		refused := old.ops.Must(old.acquireFrame("/b", 0, 0)).GetRefusal()
		assert.Equal(t, lockstepv1.Reason_REASON_SESSION_SUPERSEDED, refused.GetReason())
		state := ops.Must(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_GetSession{GetSession: &lockstepv1.GetSession{Session: old.session}}})
		require.Len(t, state.GetSessionState().GetGrants(), 1)
		assert.Equal(t, grant.GetToken(), state.GetSessionState().GetGrants()[0].GetGrant().GetToken())
	})
}

func TestOnlyWhoHasTheSecretSpeaksForASession(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		g := newGuest(t, c, "g", c.Leader())
		g.acquire("/a")
		for _, node := range c.Names() {
			c.Await(node+" is ready", func() bool { return c.Node(node).Ready() == nil })
			conn := c.Connect(g.network, node)
			ops, beats := nodestest.NewCaller(t, conn), nodestest.NewBeater(t, conn)
			for _, f := range []*lockstepv1.ClientFrame{g.acquireFrame("/b", 0, 0), {Body: &lockstepv1.ClientFrame_GetSession{
				GetSession: &lockstepv1.GetSession{Session: g.session},
			}}} {
				assert.Equal(t, lockstepv1.Code_CODE_NOT_BOUND, ops.Must(f).GetProblem().GetCode(), "unbound at %s", node)
			}
			reply, err := beats.Beat(g.session)
			require.NoError(t, err)
			if reply.GetProblem() != nil {
				assert.Equal(t, lockstepv1.Code_CODE_NOT_BOUND, reply.GetProblem().GetCode())
			} else {
				assert.Equal(t, lockstepv1.HeartbeatResult_VERDICT_NOT_BOUND, reply.GetResults()[0].GetVerdict())
			}
			bind := g.binding()
			bind.GetBindSession().Secret = append([]byte("x"), g.secret...)
			assert.Equal(t, lockstepv1.Reason_REASON_NOT_YOURS, ops.Must(bind).GetRefusal().GetReason(), "wrong secret at %s", node)
			bind = g.binding()
			bind.GetBindSession().Session = 99
			assert.Equal(t, lockstepv1.Reason_REASON_SESSION_UNKNOWN, ops.Must(bind).GetRefusal().GetReason())
			network, _ := c.Client("thief")
			thief := nodestest.NewCaller(t, c.Connect(network, node))
			assert.Equal(t, lockstepv1.Reason_REASON_NOT_YOURS, thief.Must(g.binding()).GetRefusal().GetReason(), "another principal at %s", node)
		}
	})
}

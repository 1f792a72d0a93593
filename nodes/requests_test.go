package nodes_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes"
	"lockstep/nodes/nodestest"
	"lockstep/transport"
)

func TestRetryOnANewLeaderChangesNothing(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		g := newGuest(t, c, "g", leader)
		first := g.acquireFrame("/a", 0, 0)
		grant := g.ops.Must(first).GetGranted()
		require.NotNil(t, grant)
		c.Crash(leader)
		g.move(c.Leader())
		again := g.ops.Must(first).GetGranted()
		require.NotNil(t, again)
		assert.Equal(t, grant.GetGrant().GetToken(), again.GetGrant().GetToken())
		assert.EqualValues(t, 1, again.GetGrant().GetCount(), "executed once")
		c.Restart(leader)
		for _, name := range c.Names() {
			c.Await(name+" catches up", func() bool { return c.Node(name).Stats().Counts.Grants == 1 })
		}
	})
}

// Whatever a client sends while leaders come and go: each sequence takes effect
// once, and what was said to be unknown is found out by asking again.
func TestEveryRequestTakesEffectOnceOverLeaderChanges(t *testing.T) {
	inCluster(t, nodestest.Config{Latency: time.Millisecond}, func(t *testing.T, c *nodestest.Cluster) {
		g := newGuest(t, c, "g", c.Leader())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 5 {
				sleep(c, 3*time.Second)
				leader := c.Leader()
				c.Crash(leader)
				sleep(c, 100*time.Millisecond)
				c.Restart(leader)
			}
		}()
		acquired := 0
		for running := true; running; acquired++ {
			f := g.acquireFrame("/a", 0, 0)
			f.GetAcquire().Header.AcknowledgedThrough = g.sequence - 1
			for {
				answer, err := g.ops.Call(f)
				if err == nil && answer.GetGranted() != nil {
					require.EqualValues(t, acquired+1, answer.GetGranted().GetGrant().GetCount())
					break
				}
				if err == nil {
					require.NotNil(t, answer.GetProblem(), "only what was not decided may be tried again: %v", answer)
				}
				g.move(c.Leader())
			}
			g.beat()
			sleep(c, 10*time.Millisecond)
			select {
			case <-done:
				running = false
			default:
			}
		}
		assert.Greater(t, acquired, 50)
		g.move(c.Leader())
		state := g.state().GetSessionState()
		require.Len(t, state.GetGrants(), 1)
		assert.EqualValues(t, acquired, state.GetGrants()[0].GetGrant().GetCount())
	})
}

func TestAnyNodeRelays(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		follower := c.Followers()[0]
		c.Await("the follower knows the leader", func() bool { return c.Node(follower).Ready() == nil })
		holder := newGuest(t, c, "holder", c.Leader())
		grant := holder.acquire("/a")
		g := newGuest(t, c, "g", follower)
		queued := g.queue("/a")
		assert.Equal(t, alive, g.beat())
		holder.release(grant)
		event := g.granted("/a")
		assert.Equal(t, queued.GetWaiter(), event.GetWaiter())
		assert.EqualValues(t, 2, event.GetToken())
		assert.Len(t, g.state().GetSessionState().GetGrants(), 1)
		validated := g.ops.Must(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_Validate{Validate: &lockstepv1.Validate{
			Session: g.session, Owner: 1, Path: "/a", Token: 2,
		}}}).GetValidated()
		assert.True(t, validated.GetHeld())
	})
}

func TestRelayedClientFindsTheNextLeader(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		follower := c.Followers()[0]
		c.Await("the follower knows the leader", func() bool { return c.Node(follower).Ready() == nil })
		g := newGuest(t, c, "g", follower)
		grant := g.acquire("/a")
		c.Crash(c.Leader())
		g.move(follower)
		state := g.state().GetSessionState()
		require.Len(t, state.GetGrants(), 1)
		assert.Equal(t, grant.GetToken(), state.GetGrants()[0].GetGrant().GetToken())
		g.release(grant)
	})
}

func TestQueueMovesOnAndDeadlinesFire(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		a, b, d := newGuest(t, c, "a", leader), newGuest(t, c, "b", leader), newGuest(t, c, "d", leader)
		since := c.Clocks().Mono.Now()
		held := a.ops.Must(a.acquireFrame("/x", 0, 2*time.Second)).GetGranted()
		require.NotNil(t, held)
		assert.Equal(t, int64(2*time.Second), held.GetHoldRemainingNs())
		waiting := d.ops.Must(d.acquireFrame("/x", time.Second, 0)).GetQueued()
		require.NotNil(t, waiting)
		b.queue("/x")

		sleep(c, 500*time.Millisecond)
		left := a.state().GetSessionState().GetGrants()[0].GetHoldRemainingNs()
		assert.InDelta(t, 1500*time.Millisecond, left, float64(100*time.Millisecond), "by the leader's log clock, not by the last entry")

		c.Await("the wait's end", func() bool {
			for _, pushed := range d.ops.Pushed() {
				for _, e := range pushed.GetEvents() {
					if e.GetReason() == lockstepv1.EndReason_END_REASON_WAIT_TIMED_OUT {
						return true
					}
				}
			}
			return false
		})
		assert.InDelta(t, time.Second, c.Clocks().Mono.Since(since), float64(100*time.Millisecond))
		b.granted("/x")
		assert.InDelta(t, 2*time.Second, c.Clocks().Mono.Since(since), float64(100*time.Millisecond), "promptly, and never early")
		assert.GreaterOrEqual(t, c.Clocks().Mono.Since(since), 2*time.Second)
	})
}

func TestAllNodesRestartWithTheSameState(t *testing.T) {
	inCluster(t, nodestest.Config{Tune: func(cfg *nodes.Config) {
		cfg.SnapshotThreshold, cfg.TrailingLogs, cfg.SnapshotInterval = 8, 4, time.Second
	}}, func(t *testing.T, c *nodestest.Cluster) {
		a, b := newGuest(t, c, "a", c.Leader()), newGuest(t, c, "b", c.Leader())
		for _, path := range []string{"/1", "/2", "/3", "/4", "/5", "/6", "/7"} {
			a.acquire(path)
		}
		queued := b.queue("/3")
		sleep(c, 3*time.Second) // a snapshot
		grant := b.acquire("/8")
		for _, name := range c.Names() {
			c.Crash(name)
		}
		for _, name := range c.Names() {
			c.Restart(name)
		}
		b.move(c.Leader())
		state := b.state().GetSessionState()
		require.Len(t, state.GetGrants(), 1)
		assert.Equal(t, grant.GetToken(), state.GetGrants()[0].GetGrant().GetToken())
		require.Len(t, state.GetWaiters(), 1)
		assert.Equal(t, queued.GetWaiter(), state.GetWaiters()[0].GetWaiter())
		assert.NotZero(t, c.Node(c.Leader()).Stats().Raft.SnapshotIndex)
		a.move(c.Leader())
		assert.Len(t, a.state().GetSessionState().GetGrants(), 7)
		assert.Equal(t, grant.GetToken()+1, a.acquire("/9").GetToken())
	})
}

func TestCleanStopHandsLeadershipOver(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		old := c.Leader()
		since := c.Clocks().Mono.Now()
		c.Shutdown(old)
		next := c.Leader()
		assert.NotEqual(t, old, next)
		assert.Less(t, c.Clocks().Mono.Since(since), 500*time.Millisecond, "no election timeout has to pass")
	})
}

func TestWithoutQuorumEveryAnswerSaysSo(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		g := newGuest(t, c, "g", leader)
		g.acquire("/a")
		for _, name := range c.Followers() {
			c.Crash(name)
		}
		sleep(c, 3*time.Second)
		g.connect(leader)
		problem := g.ops.Must(g.binding()).GetProblem()
		if problem == nil { // it leads still, as far as it knows
			problem = g.ops.Must(g.acquireFrame("/b", 0, 0)).GetProblem()
		}
		require.NotNil(t, problem)
		assert.Contains(t, []lockstepv1.Code{
			lockstepv1.Code_CODE_NO_LEADER, lockstepv1.Code_CODE_NO_QUORUM, lockstepv1.Code_CODE_UNKNOWN_OUTCOME,
		}, problem.GetCode())
		assert.NotEmpty(t, problem.GetDetail())
		status := g.ops.Must(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_GetStatus{GetStatus: &lockstepv1.GetStatus{}}}).GetStatus()
		assert.False(t, status.GetQuorum())
		assert.EqualValues(t, 1, status.GetSessions())
		for _, name := range c.Names() {
			if name != leader {
				c.Restart(name)
				break
			}
		}
		g.move(c.Leader())
		g.acquire("/c")
	})
}

func TestGarbageIsAnsweredAndCrashesNothing(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		g := newGuest(t, c, "g", leader)
		long := make([]byte, 600)
		for i := range long {
			long[i] = 'a'
		}
		refusal := func(f *lockstepv1.ClientFrame) lockstepv1.Reason { return g.ops.Must(f).GetRefusal().GetReason() }
		for _, path := range []string{"", "a", "/", "//", "/a/", "/a//b", "/a/../b", "/a/./b", "/a\x00b", "/" + string(long)} {
			assert.Equal(t, lockstepv1.Reason_REASON_INVALID, refusal(g.acquireFrame(path, 0, 0)), "path %q", path)
		}
		for name, change := range map[string]func(*lockstepv1.Acquire){
			"no mode":          func(a *lockstepv1.Acquire) { a.Mode = 0 },
			"unknown mode":     func(a *lockstepv1.Acquire) { a.Mode = 77 },
			"negative hold":    func(a *lockstepv1.Acquire) { a.HoldNs = -5 },
			"absurd hold":      func(a *lockstepv1.Acquire) { a.HoldNs = 1 << 62 },
			"negative wait":    func(a *lockstepv1.Acquire) { a.WaitNs = -2 },
			"absurd delay":     func(a *lockstepv1.Acquire) { a.DelayNs = 1 << 62 },
			"no owner":         func(a *lockstepv1.Acquire) { a.Owner = 0 },
			"no sequence":      func(a *lockstepv1.Acquire) { a.Header.Sequence = 0 },
			"acked the future": func(a *lockstepv1.Acquire) { a.Header.AcknowledgedThrough = 1 << 60 },
		} {
			f := g.acquireFrame("/a", 0, 0)
			change(f.GetAcquire())
			answer := g.ops.Must(f)
			assert.NotNil(t, answer.GetRefusal(), "%s: %v", name, answer)
		}
		for name, f := range map[string]*lockstepv1.ClientFrame{
			"no body":        {},
			"a short secret": openSession([]byte("short")),
			"a long secret":  openSession(make([]byte, 65)),
		} {
			assert.Equal(t, lockstepv1.Code_CODE_INVALID, g.ops.Must(f).GetProblem().GetCode(), name)
		}
		unbound := g.acquireFrame("/a", 0, 0)
		unbound.GetAcquire().Header = nil
		assert.Equal(t, lockstepv1.Code_CODE_NOT_BOUND, g.ops.Must(unbound).GetProblem().GetCode())

		for name, bytes := range map[string][]byte{
			"not a message":   transport.AppendFrame(nil, []byte{0xff, 0x01, 0x02}),
			"huge length":     {0xff, 0xff, 0xff, 0xff, 1, 2, 3},
			"larger than may": transport.AppendFrame(nil, make([]byte, 2<<20)),
		} {
			caller := nodestest.NewCaller(t, g.conn)
			go caller.Stream.Write(bytes) // may block: the node need not read all of it
			<-caller.Done()
			require.NoError(t, c.Node(leader).Healthy(), name)
		}
		g.acquire("/still/works")
	})
}

func TestOverloadIsRefusedAndPasses(t *testing.T) {
	inCluster(t, nodestest.Config{Latency: 5 * time.Millisecond, Tune: func(cfg *nodes.Config) {
		cfg.ProposalQueue, cfg.BatchCommands = 4, 2
	}}, func(t *testing.T, c *nodestest.Cluster) {
		g := newGuest(t, c, "g", c.Leader())
		var answers []<-chan *lockstepv1.NodeFrame
		var frames []*lockstepv1.ClientFrame
		for range 30 {
			f := g.acquireFrame("/a", 0, 0)
			answer, err := g.ops.Send(f)
			require.NoError(t, err)
			frames, answers = append(frames, f), append(answers, answer)
		}
		refused := 0
		for i, answer := range answers {
			f := <-answer
			if f.GetGranted() != nil {
				continue
			}
			require.Equal(t, lockstepv1.Code_CODE_RESOURCE_EXHAUSTED, f.GetProblem().GetCode(), "%v", f)
			assert.Positive(t, f.GetProblem().GetRetryAfterNs())
			refused++
			require.NotNil(t, g.ops.Must(proto.CloneOf(frames[i])).GetGranted(), "not executed, so it can be sent again")
		}
		assert.Positive(t, refused)
		assert.EqualValues(t, 30, g.state().GetSessionState().GetGrants()[0].GetGrant().GetCount())
	})
}

func TestSessionsExpireUnderAFloodOfRequests(t *testing.T) {
	inCluster(t, nodestest.Config{Latency: time.Millisecond, Tune: func(cfg *nodes.Config) { cfg.ProposalQueue = 1 }}, func(t *testing.T, c *nodestest.Cluster) {
		dying := newGuest(t, c, "dying", c.Leader())
		dying.acquire("/d")
		since := c.Clocks().Mono.Now()
		g := newGuest(t, c, "g", c.Leader())
		for !over(c, dying.session) {
			require.Less(t, c.Clocks().Mono.Since(since), 2*ttl)
			var open []<-chan *lockstepv1.NodeFrame
			for range 5 {
				f := g.acquireFrame("/a", 0, 0)
				f.GetAcquire().Header.AcknowledgedThrough = g.sequence - 1
				answer, err := g.ops.Send(f)
				require.NoError(t, err)
				open = append(open, answer)
			}
			for _, answer := range open {
				<-answer
			}
			g.beat()
			sleep(c, 100*time.Millisecond)
		}
		assert.LessOrEqual(t, c.Clocks().Mono.Since(since), ttl+time.Second)
	})
}

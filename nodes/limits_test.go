package nodes_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes"
	"lockstep/nodes/nodestest"
	"lockstep/transport"
)

func TestRequestInFlightAtALostLeaderIsOfUnknownOutcome(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		g := newGuest(t, c, "g", leader)
		c.Isolate(leader)
		first, err := g.ops.Send(g.acquireFrame("/a", 0, 0))
		require.NoError(t, err)
		sleep(c, time.Millisecond)
		second, err := g.ops.Send(g.acquireFrame("/b", 0, 0))
		require.NoError(t, err)
		assert.Equal(t, lockstepv1.Code_CODE_UNKNOWN_OUTCOME, (<-first).GetProblem().GetCode(), "it may be in the log of the others")
		assert.Equal(t, lockstepv1.Code_CODE_NO_LEADER, (<-second).GetProblem().GetCode(), "it certainly is in no log")
		<-g.ops.Done()
	})
}

func TestClientThatReadsNothingIsCutOffAndHurtsNobody(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		g := newGuest(t, c, "g", leader)
		for i := range 200 {
			g.acquire(fmt.Sprintf("/some/rather/long/path/to/make/answers/large/%d", i))
		}
		network, _ := c.Client("lazy")
		stream, _ := nodestest.OpenStream(t, c.Connect(network, leader), transport.PurposeOps)
		for id := uint64(1); ; id++ {
			f := listLocks(within(-1), "/", "", 0)
			f.Id = id
			frame, err := transport.AppendMessage(nil, f)
			require.NoError(t, err)
			if _, err := stream.Write(frame); err != nil {
				break // cut off
			}
			require.Less(t, id, uint64(100_000), "it may ask for ever")
			if id%100 == 0 {
				sleep(c, time.Millisecond)
			}
		}
		assert.Equal(t, alive, g.beat())
		g.acquire("/b")
	})
}

func TestWaitersAreListedInPages(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		holder := newGuest(t, c, "holder", leader)
		for _, path := range []string{"/a", "/b"} {
			holder.acquire(path)
			for i := range 3 {
				newGuest(t, c, fmt.Sprintf("waiter%s%d", path, i), leader).queue(path)
			}
		}
		var waiters []uint64
		list := &lockstepv1.ListWaiters{Limit: 2}
		for more := true; more; {
			page := holder.ops.Must(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_ListWaiters{ListWaiters: list}}).GetWaiterList()
			require.NotNil(t, page)
			for _, w := range page.GetWaiters() {
				waiters = append(waiters, w.GetWaiter())
				list.AfterPath, list.AfterWaiter = w.GetPath(), w.GetWaiter()
			}
			more = page.GetMore()
		}
		assert.Equal(t, []uint64{1, 2, 3, 4, 5, 6}, waiters)
	})
}

func TestHealthFollowsTheNodesLife(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		node := c.Node(leader)
		require.NoError(t, node.Healthy())
		require.NoError(t, node.Ready())
		status := node.Status()
		assert.Equal(t, leader, status.GetLeader().GetNode())
		assert.Len(t, status.GetMembers(), 3)
		assert.True(t, status.GetServing())
		c.Shutdown(leader)
		require.ErrorIs(t, node.Healthy(), nodes.ErrStopping)
		require.ErrorIs(t, node.Ready(), nodes.ErrStopping)

		alone := c.Names()[0]
		for _, name := range c.Names() {
			if name != alone {
				c.Crash(name)
			}
		}
		if c.Node(alone) == nil {
			c.Restart(alone)
		}
		c.Await("a node that knows no leader", func() bool { return c.Node(alone).Ready() != nil && c.Node(alone).Healthy() == nil })
		require.ErrorIs(t, c.Node(alone).Ready(), nodes.ErrNoLeader)
	})
}

func TestConfigIsCheckedWhole(t *testing.T) {
	good := nodes.DefaultConfig()
	good.Node, good.Cluster, good.Lineage = "n1", "c", 1
	good.Listen, good.Address = ":7000", "n1:7000"
	require.NoError(t, good.Validate())
	for name, c := range map[string]struct {
		change func(*nodes.Config)
		say    string
	}{
		"no node":            {func(c *nodes.Config) { c.Node = "" }, "Node"},
		"no listen address":  {func(c *nodes.Config) { c.Listen = "" }, "Listen"},
		"no own member":      {func(c *nodes.Config) { c.Members = map[string]string{"n2": "n2:7000"} }, "Members"},
		"another address":    {func(c *nodes.Config) { c.Members = map[string]string{"n1": "n1:7001"} }, "n1:7001"},
		"lease too long":     {func(c *nodes.Config) { c.LeaderLease = time.Minute }, "LeaderLease"},
		"no queue":           {func(c *nodes.Config) { c.ProposalQueue = 0 }, "queue"},
		"no watches":         {func(c *nodes.Config) { c.WatchEvents = 0 }, "Events"},
		"no time to stop":    {func(c *nodes.Config) { c.StopTimeout = 0 }, "StopTimeout"},
		"impatient rounds":   {func(c *nodes.Config) { c.RoundTimeout = time.Millisecond }, "RoundTimeout"},
		"no sessions at all": {func(c *nodes.Config) { c.Limits.Sessions = 0 }, "sessions"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			c.change(&bad)
			require.ErrorContains(t, bad.Validate(), c.say)
		})
	}
}

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

func listLocks(stale *int64, prefix, after string, limit uint32) *lockstepv1.ClientFrame {
	list := &lockstepv1.ListLocks{Prefix: prefix, After: after, Limit: limit}
	if stale != nil {
		list.Consistency = &lockstepv1.Consistency{StaleNs: stale}
	}
	return &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_ListLocks{ListLocks: list}}
}

func within(d time.Duration) *int64 {
	ns := int64(d)
	return &ns
}

func TestStaleReadsKeepTheirBoundOrSayNo(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		g := newGuest(t, c, "g", c.Leader())
		g.acquire("/a")
		follower := c.Followers()[0]
		c.Await("the follower knows the leader", func() bool { return c.Node(follower).Ready() == nil })
		network, _ := c.Client("reader")
		reader := nodestest.NewCaller(t, c.Connect(network, follower))

		fresh := reader.Must(listLocks(within(time.Second), "/", "", 0)).GetLockList()
		require.NotNil(t, fresh)
		assert.Equal(t, follower, fresh.GetInfo().GetNode())
		assert.False(t, fresh.GetInfo().GetLinearizable())
		assert.Len(t, fresh.GetLocks(), 1, "the follower waited until its state was as fresh as the question")
		assert.LessOrEqual(t, fresh.GetInfo().GetAgeNs(), int64(time.Second))

		c.Isolate(follower)
		g.acquire("/b")
		for range 5 {
			sleep(c, 2*time.Second)
			require.Equal(t, alive, g.beat())
		}
		no := reader.Must(listLocks(within(time.Second), "/", "", 0)).GetProblem()
		assert.Equal(t, lockstepv1.Code_CODE_TOO_STALE, no.GetCode(), "%v", no)
		old := reader.Must(listLocks(within(-1), "/", "", 0)).GetLockList()
		require.NotNil(t, old)
		assert.Len(t, old.GetLocks(), 1)
		assert.GreaterOrEqual(t, old.GetInfo().GetAgeNs(), int64(10*time.Second), "how old it may be is shown")

		c.Net().HealAll()
		c.Await("a fresh answer with both locks", func() bool {
			return len(reader.Must(listLocks(within(time.Second), "/", "", 0)).GetLockList().GetLocks()) == 2
		})
	})
}

func TestLinearizableListingsContinueWhereTheyEnded(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		g := newGuest(t, c, "g", c.Leader())
		for i := range 7 {
			g.acquire(fmt.Sprintf("/t/%d", i))
		}
		g.acquire("/tt")
		for _, node := range c.Names() {
			c.Await(node+" knows the leader", func() bool { return c.Node(node).Ready() == nil })
			reader := nodestest.NewCaller(t, c.Connect(g.network, node))
			var paths []string
			for after, more := "", true; more; {
				list := reader.Must(listLocks(nil, "/t", after, 3)).GetLockList()
				require.NotNil(t, list)
				assert.True(t, list.GetInfo().GetLinearizable())
				for _, l := range list.GetLocks() {
					paths = append(paths, l.GetPath())
					after = l.GetPath()
				}
				more = list.GetMore()
			}
			assert.Equal(t, []string{"/t/0", "/t/1", "/t/2", "/t/3", "/t/4", "/t/5", "/t/6"}, paths, "at %s", node)
		}
		sessions := g.ops.Must(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_ListSessions{ListSessions: &lockstepv1.ListSessions{}}}).GetSessionList()
		require.Len(t, sessions.GetSessions(), 1)
		assert.EqualValues(t, 8, sessions.GetSessions()[0].GetGrants())
	})
}

// watcher reads a node's watch stream.
type watcher struct {
	t      *testing.T
	stream transport.Stream
	frames *transport.FrameReader
}

func newWatcher(t *testing.T, conn transport.Conn, start *lockstepv1.StartWatch) *watcher {
	t.Helper()
	w := &watcher{t: t}
	w.stream, w.frames = nodestest.OpenStream(t, conn, transport.PurposeWatch)
	require.NoError(t, transport.ReadMessage(w.frames, new(lockstepv1.Welcome)))
	frame, err := transport.AppendMessage(nil, &lockstepv1.WatchRequest{Body: &lockstepv1.WatchRequest_Start{Start: start}})
	require.NoError(t, err)
	_, err = w.stream.Write(frame)
	require.NoError(t, err)
	return w
}

func (w *watcher) next() *lockstepv1.WatchFrame {
	w.t.Helper()
	f := new(lockstepv1.WatchFrame)
	require.NoError(w.t, transport.ReadMessage(w.frames, f))
	return f
}

func TestWatchGoesOnWhereItWasOverARestartOfItsNode(t *testing.T) {
	inCluster(t, nodestest.Config{Tune: func(cfg *nodes.Config) { cfg.CommitTimeout = 5 * time.Millisecond }}, func(t *testing.T, c *nodestest.Cluster) {
		g := newGuest(t, c, "g", c.Leader())
		follower := c.Followers()[0]
		network, _ := c.Client("watcher")
		after := &lockstepv1.Position{}
		var seen []uint64
		acquired := 0
		for round := range 4 {
			c.Await("the follower serves", func() bool { return c.Node(follower).Healthy() == nil })
			w := newWatcher(t, c.Connect(network, follower), &lockstepv1.StartWatch{Watch: 1, Prefix: "/w", After: after})
			for range 5 {
				acquired++
				grant := g.acquire(fmt.Sprintf("/w/%d", acquired))
				g.acquire("/other/" + fmt.Sprint(acquired))
				_ = grant
			}
			g.beat()
			for len(seen) < acquired {
				f := w.next()
				require.Nil(t, f.GetEnded(), "round %d: %v", round, f)
				for _, e := range f.GetEvents().GetEvents() {
					if e.GetKind() == lockstepv1.EventKind_EVENT_KIND_GRANTED {
						seen = append(seen, e.GetToken())
					}
				}
				if f.GetEvents() != nil {
					after = f.GetEvents().GetThrough()
				}
			}
			c.Crash(follower)
			c.Restart(follower)
		}
		require.Len(t, seen, acquired)
		for i, token := range seen {
			assert.EqualValues(t, 2*i+1, token, "in order, none twice, none left out")
		}
	})
}

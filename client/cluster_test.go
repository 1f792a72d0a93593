package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/client"
	"lockstep/nodes/nodestest"
)

// These tests run real nodes, with Raft inside, over a network in memory and in
// virtual time.

var mono = clockwork.NewRealClock() // virtual, in synctest

type cluster struct {
	*nodestest.Cluster
	clients uint64
}

func start(t *testing.T, cfg nodestest.Config) *cluster {
	t.Helper()
	return &cluster{Cluster: nodestest.Start(t, cfg)}
}

// connect starts a client process on a host of its own.
func (c *cluster) connect(t *testing.T, change ...func(*client.Config)) (*client.Client, string) {
	t.Helper()
	network, host := c.Client("operator")
	c.clients++
	cfg := client.DefaultConfig(c.Addresses()...)
	for _, f := range change {
		f(&cfg)
	}
	cl, err := client.Open(t.Context(), cfg, client.Deps{
		Network: network, Clocks: c.Clocks(), Rand: rand.New(rand.NewPCG(1, c.clients)),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		cl.Close()
		<-mono.After(time.Second)
	})
	return cl, host
}

func session(t *testing.T, c *client.Client, opts ...client.SessionOption) *client.Session {
	t.Helper()
	s, err := c.NewSession(t.Context(), opts...)
	require.NoError(t, err)
	return s
}

func TestClusterAcquireWaitRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, nodestest.Config{})
		c1, _ := c.connect(t)
		c2, _ := c.connect(t)
		g, err := session(t, c1).Lock("/a").Acquire(t.Context())
		require.NoError(t, err)
		assert.True(t, g.Held())
		require.NoError(t, g.Validate(t.Context()))
		_, err = session(t, c2).Lock("/a").TryAcquire(t.Context())
		require.ErrorIs(t, err, client.ErrHeld)

		granted := make(chan *client.Grant, 1)
		waiter := session(t, c2)
		go func() {
			g, err := waiter.Lock("/a").Acquire(t.Context())
			assert.NoError(t, err)
			granted <- g
		}()
		<-mono.After(time.Second)
		var waiting []client.WaiterInfo
		for w, err := range c1.ListWaiters(t.Context(), "/") {
			require.NoError(t, err)
			waiting = append(waiting, w)
		}
		require.Len(t, waiting, 1)
		assert.Equal(t, waiter.ID(), waiting[0].Session)
		require.NoError(t, g.Release(t.Context()))
		next := <-granted
		assert.Greater(t, next.Token(), g.Token())
		assert.Equal(t, g.Token(), next.Floor())
		require.ErrorIs(t, g.Validate(t.Context()), client.ErrNotHeld)
		require.NoError(t, waiter.End(t.Context()))
	})
}

func TestClusterSurvivesItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, nodestest.Config{Latency: time.Millisecond})
		c.Leader()
		cl, _ := c.connect(t, func(cfg *client.Config) { cfg.Connections = 2 })
		var wg sync.WaitGroup
		const workers, rounds = 8, 30
		counted, inside := 0, 0
		var last client.Token
		for range workers {
			s := session(t, cl)
			wg.Go(func() {
				for range rounds {
					g, err := s.Lock("/counter").Acquire(t.Context())
					if !assert.NoError(t, err) {
						return
					}
					assert.True(t, g.Held())
					assert.Greater(t, g.Token(), last)
					last = g.Token()
					inside++
					assert.Equal(t, 1, inside, "holders")
					<-mono.After(50 * time.Millisecond)
					inside--
					counted++
					assert.NoError(t, g.Release(t.Context()))
				}
			})
		}
		for range 5 {
			<-mono.After(3 * time.Second)
			leader := c.Leader()
			c.Crash(leader)
			<-mono.After(2 * time.Second)
			c.Restart(leader)
		}
		wg.Wait()
		assert.Equal(t, workers*rounds, counted)
		for s, err := range cl.ListSessions(t.Context()) {
			require.NoError(t, err)
			assert.Equal(t, client.StateAlive, s.State, "session %d", s.Session)
			assert.Zero(t, s.Grants)
		}
	})
}

func TestClusterSaysWhenThereIsNoQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, nodestest.Config{})
		leader := c.Leader()
		cl, _ := c.connect(t)
		s := session(t, cl, client.TTL(time.Minute))
		var down []string
		for _, n := range c.Names() {
			if n != leader {
				c.Crash(n)
				down = append(down, n)
			}
		}
		_, err := s.Lock("/a").Acquire(t.Context())
		require.ErrorIs(t, err, client.ErrUnavailable)
		t.Log(err)
		st, err := cl.Status(t.Context(), c.Address(leader))
		require.NoError(t, err)
		assert.False(t, st.Quorum)
		c.Restart(down[0])
		g, err := s.Lock("/b").Acquire(t.Context())
		require.NoError(t, err)
		assert.True(t, g.Held())
		// What was given up is withdrawn once that is possible.
		other := session(t, cl)
		_, err = other.Lock("/a").Acquire(t.Context(), client.WithWait(10*time.Second))
		require.NoError(t, err)
	})
}

func TestClusterExpiresTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, nodestest.Config{})
		dead, host := c.connect(t)
		living, _ := c.connect(t)
		s := session(t, dead)
		g, err := s.Lock("/a", client.Delay(0)).Acquire(t.Context())
		require.NoError(t, err)
		<-mono.After(5 * time.Second)
		for _, n := range c.Names() {
			c.Net().Partition(host, n)
		}
		cut := mono.Now()
		ctx := g.Context()
		next, err := session(t, living).Lock("/a").Acquire(t.Context())
		require.NoError(t, err)
		took := mono.Since(cut)
		assert.Error(t, ctx.Err(), "belief ended before")
		assert.False(t, g.Held())
		assert.GreaterOrEqual(t, took, 8*time.Second, "TTL after the last heartbeat, which was at most TTL/5 before the cut")
		assert.LessOrEqual(t, took, 11*time.Second)
		assert.Greater(t, next.Token(), g.Token())
		c.Net().HealAll()
		<-mono.After(5 * time.Second)
		assert.Equal(t, client.StateExpired, s.State())
	})
}

func TestClusterTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, nodestest.Config{})
		first, _ := c.connect(t)
		second, _ := c.connect(t)
		old := session(t, first)
		g, err := old.Lock("/a").Acquire(t.Context())
		require.NoError(t, err)
		heir, err := second.TakeOver(t.Context(), old.Credential())
		require.NoError(t, err)
		<-mono.After(time.Second)
		assert.Equal(t, client.StateExpired, old.State())
		require.ErrorIs(t, context.Cause(old.Context()), client.ErrSuperseded)
		require.Len(t, heir.Grants(), 1)
		inherited := heir.Grants()[0]
		assert.Equal(t, g.Token(), inherited.Token())
		assert.True(t, inherited.Held())
		began := mono.Now()
		require.NoError(t, inherited.Release(t.Context()))
		assert.Greater(t, mono.Since(began), 5*time.Second, "only after the old process has surely stopped believing")
	})
}

func TestClusterHoldsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, nodestest.Config{Latency: 5 * time.Millisecond})
		cl, _ := c.connect(t)
		g, err := session(t, cl).Lock("/a", client.Hold(5*time.Second)).Acquire(t.Context())
		require.NoError(t, err)
		next, err := session(t, cl).Lock("/a", client.Hold(5*time.Second)).Acquire(t.Context())
		require.NoError(t, err)
		assert.False(t, g.Held())
		assert.True(t, next.Held())
		left := mono.Until(next.HeldUntil())
		assert.LessOrEqual(t, left, 4900*time.Millisecond)
		assert.Greater(t, left, 4*time.Second)
	})
}

// A watch sees everything once and in order, whatever happens to the nodes.
func TestClusterWatchHasNoGapsAndNoDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, nodestest.Config{Latency: time.Millisecond})
		c.Leader()
		cl, host := c.connect(t)
		s := session(t, cl)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		started := make(chan struct{})
		const rounds = 60
		var tokens []client.Token
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			var last client.Position
			for e, err := range cl.Watch(ctx, "/watched", client.WithListing()) {
				if !assert.NoError(t, err) {
					return
				}
				if e.Kind == client.EventListing {
					close(started)
					last = e.Position
					continue
				}
				assert.Positive(t, e.Position.Compare(last), "%v after %v", e.Position, last)
				last = e.Position
				if e.Kind == client.EventGranted {
					if tokens = append(tokens, e.Token); len(tokens) == rounds {
						return
					}
				}
			}
		}()
		<-started
		var want []client.Token
		for i := range rounds {
			g, err := s.Lock(fmt.Sprintf("/watched/%d", i%3)).Acquire(t.Context())
			require.NoError(t, err)
			want = append(want, g.Token())
			require.NoError(t, g.Release(t.Context()))
			_, err = s.Lock("/elsewhere").TryAcquire(t.Context())
			_ = err
			switch i % 20 {
			case 7:
				for _, n := range c.Names() {
					c.Net().CutConnections(host, n)
				}
			case 15:
				leader := c.Leader()
				c.Crash(leader)
				<-mono.After(time.Second)
				c.Restart(leader)
			}
		}
		<-watched
		assert.Equal(t, want, tokens)
	})
}

// A leader that is cut off from the other nodes, not from its clients, loses its
// office; the clients find the new one before their belief ends.
func TestClusterLeaderIsIsolated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, nodestest.Config{Latency: time.Millisecond})
		leader := c.Leader()
		cl, _ := c.connect(t)
		s := session(t, cl)
		g, err := s.Lock("/a").Acquire(t.Context())
		require.NoError(t, err)
		ctx := g.Context()
		c.Isolate(leader)
		<-mono.After(500 * time.Millisecond)
		began := mono.Now()
		_, err = s.Lock("/b").Acquire(t.Context())
		require.NoError(t, err)
		t.Logf("a new lock after %v", mono.Since(began))
		assert.Less(t, mono.Since(began), 6*time.Second)
		<-mono.After(10 * time.Second)
		assert.NoError(t, ctx.Err(), "belief never ended")
		assert.True(t, g.Held())
		require.NoError(t, g.Validate(t.Context()))
		c.Net().HealAll()
		<-mono.After(3 * time.Second)
	})
}

// Every connection of the client is cut again and again, at moments that the seed
// chooses, while owners count under a lock. The log's own events say how often
// each acquire took effect.
func TestClusterExactlyOnceThroughCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, nodestest.Config{Latency: 2 * time.Millisecond})
		c.Leader()
		cl, host := c.connect(t, func(cfg *client.Config) { cfg.Connections = 2 })
		observer, _ := c.connect(t)
		watching, stopWatching := context.WithCancel(t.Context())
		grants := make(map[client.Token]int)
		ends := make(map[client.Token]int)
		listed, watched := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(watched)
			for e, err := range observer.Watch(watching, "/counter", client.WithListing()) {
				assert.NoError(t, err)
				switch e.Kind {
				case client.EventListing:
					close(listed)
				case client.EventGranted:
					grants[e.Token]++
				case client.EventGrantEnded:
					ends[e.Token]++
				default:
					assert.NotEqual(t, client.EventReentered, e.Kind, "an acquire took effect twice")
				}
			}
		}()
		<-listed
		var wg sync.WaitGroup
		const workers, rounds = 8, 25
		used := make(map[client.Token]bool)
		for range workers {
			s := session(t, cl, client.TTL(time.Minute))
			lock := s.Lock("/counter")
			wg.Go(func() {
				for range rounds {
					g, err := lock.Acquire(t.Context())
					if !assert.NoError(t, err) {
						return
					}
					assert.False(t, used[g.Token()])
					used[g.Token()] = true
					<-mono.After(3 * time.Millisecond)
					assert.NoError(t, g.Release(t.Context()))
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		rng := rand.New(rand.NewPCG(5, 6))
		cuts := 0
		for running := true; running; {
			select {
			case <-done:
				running = false
			case <-mono.After(time.Duration(rng.IntN(60)) * time.Millisecond):
				for _, n := range c.Names() {
					cuts += c.Net().CutConnections(host, n)
				}
			}
		}
		assert.Greater(t, cuts, 20)
		<-mono.After(2 * time.Second)
		stopWatching()
		<-watched
		assert.Len(t, used, workers*rounds)
		assert.Len(t, grants, workers*rounds, "no grant but those that were answered")
		for token := range used {
			assert.Equal(t, 1, grants[token], "token %d", token)
			assert.Equal(t, 1, ends[token], "token %d", token)
		}
	})
}

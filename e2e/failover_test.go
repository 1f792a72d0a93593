//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep"
	"lockstep/client"
	"lockstep/e2e/harness"
)

// Exclusion by belief, fencing and liveness while leaders die: 50 clients share
// 10 locks and the leader is killed with -9 five times.
func TestLeaderKilledFiveTimesWhile50ClientsShare10Locks(t *testing.T) {
	const clients, locks, connections, kills, least = 50, 10, 5, 5, 5
	c := harness.StartCluster(t, harness.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	var shared [connections]*lockstep.Client
	for i := range shared {
		shared[i] = c.Client(t, lockstep.WithRequestTimeout(0))
	}
	var beliefs harness.Beliefs
	var over atomic.Bool
	var finished, lost atomic.Int32
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			w := worker{name: fmt.Sprintf("c%d", i), client: shared[i%connections], path: fmt.Sprintf("/e2e/%d", i%locks), beliefs: &beliefs, lost: &lost}
			for round := 0; round < least || !over.Load(); round++ {
				if !assert.NoError(t, w.round(ctx), w.name) {
					return
				}
			}
			assert.NoError(t, w.session.End(ctx), w.name)
			finished.Add(1)
		})
	}
	for range kills {
		leader := c.WaitLeader(t)
		before := len(beliefs.All())
		leader.Kill(t)
		c.WaitLeader(t)
		// Grants go on without it before it comes back.
		harness.Eventually(t, "grants under the new leader", func() bool { return len(beliefs.All()) > before+locks })
		leader.Start(t)
		c.WaitServing(t, leader)
	}
	over.Store(true)
	wg.Wait()

	require.EqualValues(t, clients, finished.Load(), "clients that finished")
	all := beliefs.All()
	require.Greater(t, len(all), clients*least/2, "too few grants to show anything")
	require.NoError(t, beliefs.Check())
	t.Logf("%d grants, %d of them lost, %d leaders killed", len(all), lost.Load(), kills)
}

// worker is one client: a session that takes one lock again and again.
type worker struct {
	name    string
	client  *lockstep.Client
	path    string
	beliefs *harness.Beliefs
	lost    *atomic.Int32
	session *lockstep.Session
}

// round takes the lock once, holds it a little and gives it back. Losing it, or
// the session, is no failure of the client: it begins anew.
func (w *worker) round(ctx context.Context) error {
	if w.session == nil {
		session, err := w.client.NewSession(ctx, client.Label(w.name))
		if err != nil {
			return fmt.Errorf("new session: %w", err)
		}
		w.session = session
	}
	grant, err := w.session.Lock(w.path).Acquire(ctx)
	switch {
	case errors.Is(err, client.ErrSessionExpired):
		w.session = nil
		return w.round(ctx)
	case errors.Is(err, client.ErrLost):
		w.lost.Add(1)
		return nil
	case err != nil:
		return fmt.Errorf("acquire: %w", err)
	}
	if !w.beliefs.Hold(w.name, grant, time.Duration(rand.IntN(20))*time.Millisecond) {
		w.lost.Add(1)
	}
	err = grant.Release(ctx)
	switch {
	case errors.Is(err, client.ErrSessionExpired):
		w.session = nil
	case errors.Is(err, client.ErrNotHeld), errors.Is(err, client.ErrLost):
	case err != nil:
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// Durability: all nodes are killed at once, and every grant, waiter and token is
// as before.
func TestAllNodesKilledAtOnceAndRestarted(t *testing.T) {
	c := harness.StartCluster(t, harness.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl := c.Client(t, lockstep.WithRequestTimeout(0))
	first, err := cl.NewSession(ctx, client.TTL(time.Minute), client.Label("first"))
	require.NoError(t, err)
	second, err := cl.NewSession(ctx, client.TTL(time.Minute), client.Label("second"))
	require.NoError(t, err)

	var grants []*lockstep.Grant
	for i := range 8 {
		lock := first.Lock(fmt.Sprintf("/e2e/%d", i))
		if i%2 == 1 {
			lock = first.Lock(fmt.Sprintf("/e2e/%d", i), client.Shared())
		}
		g, err := lock.Acquire(ctx)
		require.NoError(t, err)
		grants = append(grants, g)
	}
	again, err := first.Lock("/e2e/twice", client.Owner(7)).Acquire(ctx)
	require.NoError(t, err)
	_, err = first.Lock("/e2e/twice", client.Owner(7)).Acquire(ctx)
	require.NoError(t, err)
	waited := make(chan *lockstep.Grant, 4)
	for i := range 4 {
		go func() {
			g, err := second.Lock(fmt.Sprintf("/e2e/%d", i)).Acquire(ctx)
			assert.NoError(t, err)
			waited <- g
		}()
	}
	harness.Eventually(t, "four waiters", func() bool { return len(picture(t, cl).Waiters) == 4 })
	before := picture(t, cl)
	last := before.LastToken

	for _, n := range c.Nodes {
		require.NoError(t, killOnly(n))
	}
	for _, n := range c.Nodes {
		n.Process.Wait(t)
	}
	for _, n := range c.Nodes {
		n.Start(t)
	}
	c.WaitLeader(t)
	after := picture(t, cl)
	require.Equal(t, before, after)

	require.True(t, again.Held() || first.State() != lockstep.StateAlive)
	for i := range 4 {
		require.NoError(t, grants[i].Release(ctx))
	}
	for range 4 {
		select {
		case g := <-waited:
			require.NotNil(t, g)
			assert.Greater(t, g.Token(), last, "a token rises over the restart")
		case <-ctx.Done():
			require.Fail(t, "a waiter was never granted")
		}
	}
}

// A command under a lock outlives the leader: with the usual TTL a change of
// leader is over before anybody has to be warned.
func TestCommandUnderALockOutlivesTheLeader(t *testing.T) {
	c := harness.StartCluster(t, harness.Options{})
	for range 2 {
		leader := c.WaitLeader(t)
		// Killed between two heartbeats, and started again at once, as supervisors do.
		held := c.CLI(t, "lock", "/e2e/outlives", "--", "sh", "-c", "sleep 3; echo now; sleep 7; echo finished")
		held.Line(t, "now")
		leader.Kill(t)
		leader.Start(t)
		code := held.Wait(t)
		require.Equal(t, 0, code, held.Output())
		require.Contains(t, held.Output(), "finished")
		c.WaitServing(t, leader)
	}
}

// One node down changes nothing; two down say so; one back heals.
func TestNodesDown(t *testing.T) {
	c := harness.StartCluster(t, harness.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl := c.Client(t, lockstep.WithRequestTimeout(3*time.Second))
	session, err := cl.NewSession(ctx, client.TTL(time.Minute))
	require.NoError(t, err)
	lock := session.Lock("/e2e/down")
	pair := func() error {
		g, err := lock.Acquire(ctx)
		if err != nil {
			return err
		}
		return g.Release(ctx)
	}
	require.NoError(t, pair())

	followers := c.Followers(c.WaitLeader(t))
	followers[0].Kill(t)
	for range 20 {
		require.NoError(t, pair(), "with one node down")
	}
	code, out := c.Run(t, "status")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "no answer")
	require.Contains(t, out, "a quorum answers")

	followers[1].Kill(t)
	harness.Eventually(t, "an error that says that the service is not available", func() bool {
		err := pair()
		return errors.Is(err, client.ErrUnavailable)
	})
	harness.Eventually(t, "status to say that there is no quorum", func() bool {
		code, out := c.Run(t, "status", "--timeout", "3s")
		return code == 69 && contains(out, "No quorum: 1 of 3 nodes answer")
	})
	code, out = c.Run(t, "lock", "/e2e/other", "--timeout", "2s", "--", "true")
	require.Equal(t, 69, code, out)
	require.Contains(t, out, "not available")
	// What needs no quorum still works, and says how old it is.
	code, out = c.Run(t, "locks", "--stale", "-1s", "--timeout", "3s")
	require.Equal(t, 0, code, out)

	followers[1].Start(t)
	var last error
	defer func() {
		if last != nil {
			t.Logf("the last attempt: %v", last)
		}
	}()
	harness.Eventually(t, "recovery", func() bool {
		last = pair()
		return last == nil
	})
}

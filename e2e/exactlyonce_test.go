//go:build unix

package e2e

import (
	"context"
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

// Every connection, of clients and between nodes, is cut at random moments while
// clients count: an owner that acquires again raises its count by exactly one,
// however often the request was repeated on the way.
func TestEachCommandTakesEffectOnceWhileConnectionsAreCut(t *testing.T) {
	const clients, leastRounds, leastCuts = 6, 30, 40
	c := harness.StartCluster(t, harness.Options{Proxied: true})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	var over atomic.Bool
	var wg sync.WaitGroup
	var counters [clients]*counter
	for i := range counters {
		cl := c.Client(t, lockstep.WithRequestTimeout(0))
		session, err := cl.NewSession(ctx, client.TTL(time.Minute), client.Label(fmt.Sprintf("counter %d", i)))
		require.NoError(t, err)
		counters[i] = &counter{client: cl, session: session, path: fmt.Sprintf("/e2e/count/%d", i)}
	}
	for _, k := range counters {
		wg.Go(func() {
			for k.rounds < leastRounds || !over.Load() {
				if !assert.NoError(t, k.round(ctx), k.path) {
					return
				}
			}
		})
	}
	cutAtRandom(t, c, leastCuts)
	over.Store(true)
	wg.Wait()

	rounds := 0
	for _, k := range counters {
		require.EqualValues(t, k.standing, k.count(t), "acquisitions of %s after %d rounds", k.path, k.rounds)
		for k.standing > 0 {
			require.NoError(t, k.release(ctx))
		}
		require.Zero(t, k.count(t), "something of %s is left", k.path)
		rounds += k.rounds
	}
	require.GreaterOrEqual(t, rounds, clients*leastRounds)
	t.Logf("%d rounds of %d clients", rounds, clients)
}

// cutAtRandom cuts everything at random moments, some cuts short, some long
// enough for connections to be given up, until there were so many.
func cutAtRandom(t *testing.T, c *harness.Cluster, least int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	cuts := 0
	deadline := time.NewTimer(25 * time.Second)
	defer deadline.Stop()
	for running := true; running || cuts < least; {
		pause := time.NewTimer(time.Duration(200+random.IntN(1200)) * time.Millisecond)
		select {
		case <-pause.C:
		case <-deadline.C:
			running = false
		}
		pause.Stop()
		cuts = 0
		victim := random.IntN(len(c.Nodes) + 1)
		for i, n := range c.Nodes {
			// One node's flows, or those of all.
			if victim == i || victim == len(c.Nodes) {
				n.Proxy.Cut(random, 10*time.Millisecond, 2500*time.Millisecond)
			}
			cuts += n.Proxy.Cuts()
		}
	}
	t.Logf("%d flows were cut", cuts)
}

// counter acquires and releases one lock for one owner, and knows how many of
// its acquisitions must stand.
type counter struct {
	client   *lockstep.Client
	session  *lockstep.Session
	path     string
	grants   []*lockstep.Grant
	standing int
	rounds   int
}

// round acquires three times and releases twice, so that the count shows every
// command that took effect twice or never.
func (k *counter) round(ctx context.Context) error {
	for range 3 {
		g, err := k.session.Lock(k.path, client.Owner(1)).Acquire(ctx)
		if err != nil {
			return fmt.Errorf("acquire in round %d: %w", k.rounds, err)
		}
		k.grants = append(k.grants, g)
		k.standing++
	}
	for range 2 {
		if err := k.release(ctx); err != nil {
			return fmt.Errorf("release in round %d: %w", k.rounds, err)
		}
	}
	k.rounds++
	return nil
}

func (k *counter) release(ctx context.Context) error {
	last := len(k.grants) - 1
	err := k.grants[last].Release(ctx)
	if err == nil {
		k.grants = k.grants[:last]
		k.standing--
	}
	return err
}

// count is how many acquisitions the service knows.
func (k *counter) count(t *testing.T) uint32 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var n uint32
	for l, err := range k.client.ListLocks(ctx, k.path) {
		require.NoError(t, err)
		for _, h := range l.Holders {
			n += h.Count
		}
	}
	return n
}

package nodes_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/client"
	"lockstep/engine"
	"lockstep/nodes"
	"lockstep/nodes/nodestest"
)

const (
	chaosTTL     = 4 * time.Second
	chaosFaults  = 40
	chaosWorkers = 6
	chaosPaths   = 3
)

// TestChaos lets real clients contend for a few locks while nodes crash, stop,
// restart and lose each other, in virtual time. No two clients may ever believe in
// the same lock, tokens rise, everybody gets on once all is well again, and all
// nodes come to the same state. NODES_CHAOS_SEEDS sets how many runs there are,
// NODES_CHAOS_SEED runs one.
func TestChaos(t *testing.T) {
	first, last := uint64(1), uint64(4)
	if n, err := strconv.ParseUint(os.Getenv("NODES_CHAOS_SEEDS"), 10, 64); err == nil {
		last = n
	}
	if n, err := strconv.ParseUint(os.Getenv("NODES_CHAOS_SEED"), 10, 64); err == nil {
		first, last = n, n
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runChaos(t, seed) })
		})
	}
}

// witness sees in true time who believes in what.
type witness struct {
	t *testing.T

	mu     sync.Mutex
	grants map[string][]*client.Grant
	last   map[string]client.Token
	seen   map[client.Token]bool
	count  int
}

func (w *witness) lastToken(path string) client.Token {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last[path]
}

// granted checks a grant whose acquire was called when floor was the last token.
func (w *witness) granted(g *client.Grant, floor client.Token) {
	w.mu.Lock()
	defer w.mu.Unlock()
	path := g.Path()
	var believed []*client.Grant
	for _, other := range w.grants[path] {
		if other.Held() {
			believed = append(believed, other)
		}
	}
	if g.Held() && len(believed) > 0 {
		w.t.Errorf("%s is believed in by %v and %v", path, believed, g)
	}
	w.grants[path] = append(believed, g)
	if g.Token() <= floor || w.seen[g.Token()] {
		w.t.Errorf("%s: token %d after %d", path, g.Token(), floor)
	}
	w.seen[g.Token()] = true
	w.last[path] = max(w.last[path], g.Token())
	w.count++
}

func (w *witness) grantsSeen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func runChaos(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	c := nodestest.Start(t, nodestest.Config{
		Nodes: 3 + 2*random.IntN(2), Seed: seed, Latency: time.Duration(random.IntN(5)) * time.Millisecond,
		Tune: func(cfg *nodes.Config) {
			cfg.SnapshotThreshold, cfg.TrailingLogs, cfg.SnapshotInterval = 50, 20, 2*time.Second
		},
	})
	defer c.Stop()
	c.Leader()
	w := &witness{t: t, grants: map[string][]*client.Grant{}, last: map[string]client.Token{}, seen: map[client.Token]bool{}}
	ctx, stop := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	var hosts []string
	for i := range chaosWorkers {
		network, host := c.Client("worker")
		hosts = append(hosts, host)
		cl, err := client.Open(ctx, client.DefaultConfig(c.Addresses()...), client.Deps{
			Network: network, Clocks: c.Clocks(), Rand: rand.New(rand.NewPCG(seed, uint64(100+i))),
			Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		workers.Go(func() {
			defer cl.Close()
			work(ctx, c, cl, w, rand.New(rand.NewPCG(seed, uint64(200+i))))
		})
	}
	for range chaosFaults {
		strike(c, random, hosts)
		sleep(c, time.Duration(random.IntN(2500))*time.Millisecond)
	}
	heal(c)
	before := w.grantsSeen()
	sleep(c, 20*time.Second)
	assert.Greater(t, w.grantsSeen()-before, chaosWorkers, "healed, and nobody gets on")
	stop()
	workers.Wait()
	sleep(c, 2*chaosTTL) // sessions end, the log comes to rest
	agree(t, c)
	t.Logf("seed %d: %d grants", seed, w.grantsSeen())
}

// work acquires and releases until ctx ends, opening a new session when it must.
func work(ctx context.Context, c *nodestest.Cluster, cl *client.Client, w *witness, random *rand.Rand) {
	var session *client.Session
	for ctx.Err() == nil {
		if session == nil || session.State() == client.StateExpired {
			var err error
			if session, err = cl.NewSession(ctx, client.TTL(chaosTTL)); err != nil {
				sleep(c, 50*time.Millisecond)
				continue
			}
		}
		path := fmt.Sprintf("/chaos/%d", random.IntN(chaosPaths))
		floor := w.lastToken(path)
		var options []client.LockOption
		if random.IntN(4) == 0 {
			options = append(options, client.Hold(time.Duration(1+random.IntN(2000))*time.Millisecond))
		}
		if random.IntN(4) == 0 {
			options = append(options, client.Delay(300*time.Millisecond))
		}
		g, err := session.Lock(path, options...).Acquire(ctx, client.WithWait(time.Duration(1+random.IntN(5))*time.Second))
		if err != nil {
			sleep(c, 10*time.Millisecond)
			continue
		}
		w.granted(g, floor)
		until := c.Clocks().Mono.Now().Add(time.Duration(random.IntN(300)) * time.Millisecond)
		if random.IntN(6) == 0 {
			until = until.Add(2 * chaosTTL) // as long as it may believe, if the service cannot be reached
		}
		for g.Held() && c.Clocks().Mono.Now().Before(until) && ctx.Err() == nil {
			sleep(c, 10*time.Millisecond)
		}
		release, cancel := context.WithTimeout(ctx, 30*time.Second)
		_ = g.Release(release) // what becomes of it shows in who is granted next
		cancel()
	}
}

// strike does one thing to the cluster.
func strike(c *nodestest.Cluster, random *rand.Rand, hosts []string) {
	names := c.Names()
	one, other := names[random.IntN(len(names))], names[random.IntN(len(names))]
	host := hosts[random.IntN(len(hosts))]
	switch random.IntN(11) {
	case 0:
		if leader := c.Leading(); leader != "" {
			c.Crash(leader)
		}
	case 1:
		c.Crash(one)
	case 2:
		c.Shutdown(one)
	case 3, 4:
		if c.Node(one) == nil {
			c.Restart(one)
		}
	case 5:
		if leader := c.Leading(); leader != "" {
			c.Isolate(leader)
		}
	case 6:
		c.Net().PartitionOneWay(one, other)
	case 7:
		c.Net().Partition(host, one)
	case 8, 9:
		// A client that nobody hears of, and a leader that has not heard of it.
		for _, name := range names {
			c.Net().PartitionOneWay(host, name)
			if random.IntN(2) == 0 {
				c.Net().PartitionOneWay(name, host)
			}
		}
		if leader := c.Leading(); leader != "" && random.IntN(2) == 0 {
			c.Crash(leader)
		}
	case 10:
		c.Net().HealAll()
	}
}

func heal(c *nodestest.Cluster) {
	c.Net().HealAll()
	for _, name := range c.Names() {
		if c.Node(name) == nil {
			c.Restart(name)
		}
	}
	c.Leader()
}

// agree waits until all nodes have applied the same, and compares.
func agree(t *testing.T, c *nodestest.Cluster) {
	t.Helper()
	c.Await("all nodes to come to one index", func() bool {
		index := c.Node(c.Names()[0]).Stats().Index
		for _, name := range c.Names() {
			if c.Node(name).Stats().Index != index {
				return false
			}
		}
		return true
	})
	digests := map[uint64][]string{}
	for _, name := range c.Names() {
		c.Node(name).Replica().Read(func(e *engine.Engine) {
			digests[e.Digest()] = append(digests[e.Digest()], name)
			assert.NoError(t, e.CheckInvariants(), name)
			assert.Zero(t, e.Counts().Sessions, "%s: sessions of clients that have gone", name)
		})
	}
	assert.Len(t, digests, 1, "%v", digests)
}

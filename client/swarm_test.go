package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// TestSwarm lets clients of every habit run while everything that can go wrong
// does, as the seed decides. All the while, whoever believes must be right; in the
// end nothing is left behind and nothing happened twice.
func TestSwarm(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			run(t, func(t *testing.T) { newSwarm(t, seed).run(t) })
		})
	}
}

type swarm struct {
	s       *service
	rng     *dice
	clients []*process

	mu       sync.Mutex
	sessions map[*Session]bool
	grants   map[*Grant]bool
	held     int
	errs     map[error]int
}

func newSwarm(t *testing.T, seed uint64) *swarm {
	t.Helper()
	w := &swarm{
		s: newService(t, "n1", "n2"), rng: &dice{rng: rand.New(rand.NewPCG(seed, 1))},
		sessions: make(map[*Session]bool), grants: make(map[*Grant]bool), errs: make(map[error]int),
	}
	for i := range 3 {
		host := fmt.Sprintf("client%s", "abc"[:i+1])
		w.clients = append(w.clients, w.s.connect(t, host))
		for _, n := range []string{"n1", "n2"} {
			w.s.net.SetLatency(host, n, w.upTo(20*time.Millisecond))
			w.s.net.SetLatency(n, host, w.upTo(20*time.Millisecond))
		}
	}
	return w
}

func (w *swarm) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.draw(int64(d))) }
func (w *swarm) oneIn(n int64) bool                 { return w.rng.draw(n) == 0 }

func (w *swarm) run(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 80*time.Second)
	defer stop()
	var workers sync.WaitGroup
	for _, c := range w.clients {
		for range 5 {
			workers.Go(func() { w.work(ctx, t, c) })
		}
	}
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		for ctx.Err() == nil {
			w.check(t)
			<-mono.After(7 * time.Millisecond)
		}
	}()
	w.nemesis(ctx)
	workers.Wait()
	<-watching
	assert.NotZero(t, w.held, "nothing was ever held")

	// Everything heals: what was begun comes to an end.
	pass(30 * time.Second)
	for session := range w.sessions {
		session.mu.Lock()
		if session.cause == nil {
			assert.EqualValues(t, session.window.last-uint64(len(session.spare)), session.window.acked+uint64(answeredAbove(session.window)), "session %d", session.id)
			assert.Empty(t, session.acquires)
			assert.Empty(t, session.backlog)
			assert.Empty(t, session.grants, "session %d", session.id)
		}
		session.mu.Unlock()
	}
	for _, path := range []string{"/a", "/b", "/c"} {
		assert.Zero(t, w.s.holders(path), path)
		assert.Zero(t, w.s.waiters(path), path)
	}
	w.s.exactlyOnce(t)
	t.Log(w.held, "held;", w.errs)
}

func answeredAbove(w window) (n int) {
	for b := w.answered; b != 0; b &= b - 1 {
		n++
	}
	return n
}

// check: whoever believes holds, as the service knows.
func (w *swarm) check(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for g := range w.grants {
		if !g.Held() {
			continue
		}
		w.s.mu.Lock()
		assert.NotNil(t, w.s.find(g.Path(), uint64(g.Token())), "%v is believed in, and gone", g)
		w.s.mu.Unlock()
	}
}

// work is one owner after another, with a session of its own.
func (w *swarm) work(ctx context.Context, t *testing.T, c *process) {
	var session *Session
	for ctx.Err() == nil {
		if session == nil || session.State() == StateExpired {
			opening, cancel := context.WithTimeout(ctx, 5*time.Second)
			s, err := c.NewSession(opening, TTL(3*time.Second+w.upTo(7*time.Second)))
			cancel()
			if err != nil {
				w.note(err)
				continue
			}
			session = s
			w.mu.Lock()
			w.sessions[s] = true
			w.mu.Unlock()
		}
		w.once(ctx, t, session)
		<-mono.After(w.upTo(50 * time.Millisecond))
	}
}

func (w *swarm) once(ctx context.Context, t *testing.T, session *Session) {
	var lockOpts []LockOption
	var opts []AcquireOption
	if w.oneIn(3) {
		lockOpts = append(lockOpts, Shared())
	}
	if w.oneIn(3) {
		lockOpts = append(lockOpts, Hold(time.Second+w.upTo(2*time.Second)))
	}
	if w.oneIn(3) {
		opts = append(opts, WithWait(w.upTo(2*time.Second)))
	}
	patience := 20 * time.Second
	if w.oneIn(2) {
		patience = w.upTo(200 * time.Millisecond)
	}
	trying, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	lock := session.Lock([]string{"/a", "/b", "/c"}[w.rng.draw(3)], lockOpts...)
	for range 1 + w.rng.draw(2) { // some enter twice
		g, err := lock.Acquire(trying, opts...)
		if err != nil {
			w.note(err)
			continue
		}
		w.mu.Lock()
		w.grants[g] = true
		w.held++
		w.mu.Unlock()
		defer w.release(t, g)
	}
	<-mono.After(w.upTo(100 * time.Millisecond))
}

func (w *swarm) release(t *testing.T, g *Grant) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), w.upTo(500*time.Millisecond))
	defer cancel()
	err := g.Release(ctx)
	assert.False(t, g.Held(), "believed in after its release")
	w.note(err)
	w.mu.Lock()
	delete(w.grants, g)
	w.mu.Unlock()
}

func (w *swarm) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, known := range []error{
		ErrOutcomeUnknown, ErrHeld, ErrTimeout, ErrLost, ErrNotHeld, ErrSessionExpired, ErrUnavailable,
	} {
		if errors.Is(err, known) {
			w.errs[known]++
			return
		}
	}
	w.errs[err]++
}

// nemesis breaks things until shortly before the end, then heals them.
func (w *swarm) nemesis(ctx context.Context) {
	end := mono.Now().Add(60 * time.Second)
	for mono.Now().Before(end) {
		c := w.clients[w.rng.draw(3)]
		node := []string{"n1", "n2"}[w.rng.draw(2)]
		lasting := w.upTo(3 * time.Second)
		switch w.rng.draw(9) {
		case 0:
			w.s.net.Partition(c.host, node)
			mono.AfterFunc(lasting*4, func() { w.s.net.Heal(c.host, node) })
		case 1:
			w.s.net.PartitionOneWay(node, c.host)
			mono.AfterFunc(lasting*2, func() { w.s.net.Heal(c.host, node) })
		case 2, 3:
			w.s.net.CutConnections(c.host, node)
		case 4:
			w.s.with(func() { w.s.leader = node })
		case 5:
			w.during(lasting, func() { w.s.problem = &lockstepv1.Problem{Code: lockstepv1.Code_CODE_NO_LEADER} }, func() { w.s.problem = nil })
		case 6:
			w.during(lasting, func() { w.s.swallow = func(*lockstepv1.NodeFrame) bool { return w.oneIn(3) } }, func() { w.s.swallow = nil })
		case 7:
			w.during(lasting, func() { w.s.mute = true }, func() { w.s.mute = false })
		case 8:
			c.bent.suspended.Add(int64(lasting))
			c.bent.wallSet.Add(int64(w.upTo(4*time.Second) - 2*time.Second))
		}
		<-mono.After(w.upTo(2 * time.Second))
	}
	<-mono.After(13 * time.Second) // until the last fault has passed
	w.s.net.HealAll()
	for _, c := range w.clients {
		// What was swallowed is only sent again over another connection.
		w.s.net.CutConnections(c.host, "n1")
		w.s.net.CutConnections(c.host, "n2")
	}
	<-ctx.Done()
}

func (w *swarm) during(d time.Duration, begin, end func()) {
	w.s.with(begin)
	mono.AfterFunc(d, func() { w.s.with(end) })
}

func TestSwarmIsNotVacuous(t *testing.T) {
	run(t, func(t *testing.T) {
		w := newSwarm(t, 1)
		session := w.clients[0].session(t)
		g := acquired(t, session.Lock("/a"))
		w.grants[g] = true
		w.s.with(func() { w.s.locks["/a"].holders = nil })
		require.True(t, g.Held())
		probe := new(testing.T)
		w.check(probe)
		assert.True(t, probe.Failed(), "a grant that is believed in and gone is noticed")
	})
}

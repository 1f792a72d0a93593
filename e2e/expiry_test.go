//go:build unix

package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep"
	"lockstep/client"
	"lockstep/e2e/harness"
)

// shortTTL is the shortest TTL there is, so that tests wait little.
const shortTTL = 3 * time.Second

// A client dies with -9: its lock goes to the next one, never before its last
// acknowledged heartbeat + TTL, at the latest TTL + 1 s after its death.
func TestClientKilled(t *testing.T) {
	c := harness.StartCluster(t, harness.Options{})
	p := holder(t, c, "/e2e/killed", shortTTL, "")
	p.Line(t, "granted ")
	next, grace := waitBehind(t, c, "/e2e/killed")
	// Some heartbeats, so that the last acknowledged one is not the first request.
	begin := believed(t, p)
	harness.Eventually(t, "heartbeats", func() bool { return believed(t, p).After(begin.Add(shortTTL / 2)) })

	killed := time.Now()
	p.Kill(t)
	got := <-next
	require.NotNil(t, got.grant)
	// Belief ends at the last acknowledged heartbeat + TTL - grace.
	earliest := believed(t, p).Add(grace)
	assert.False(t, got.at.Before(earliest), "granted %v too early", earliest.Sub(got.at))
	assert.LessOrEqual(t, got.at.Sub(killed), shortTTL+time.Second, "granted too late")
	t.Logf("granted %v after the kill, %v after the earliest instant allowed", got.at.Sub(killed), got.at.Sub(earliest))
}

type granted struct {
	grant *lockstep.Grant
	at    time.Time
}

// waitBehind queues another client on the path, and tells when it is granted.
func waitBehind(t *testing.T, c *harness.Cluster, path string) (<-chan granted, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cl := c.Client(t)
	session, err := cl.NewSession(ctx, client.TTL(shortTTL), client.Label("next"))
	require.NoError(t, err)
	next := make(chan granted, 1)
	go func() {
		g, err := session.Lock(path).Acquire(ctx)
		at := time.Now()
		assert.NoError(t, err)
		next <- granted{g, at}
	}()
	harness.Eventually(t, "a waiter", func() bool { return len(picture(t, cl).Waiters) == 1 })
	return next, session.Grace()
}

// A client is stopped past its TTL: it wakes up disbelieving, and its late write
// is refused by the fence.
func TestClientStopped(t *testing.T) {
	c := harness.StartCluster(t, harness.Options{})
	r := startResource(t)
	p := holder(t, c, "/e2e/stopped", shortTTL, r.url)
	old := p.Line(t, "granted ")
	p.Send(t, "write")
	assert.Contains(t, p.Line(t, "wrote held=true answer="), "200")
	next, _ := waitBehind(t, c, "/e2e/stopped")

	p.Signal(t, syscall.SIGSTOP)
	got := <-next
	require.NotNil(t, got.grant)
	r.write(t, got.grant, "new")
	p.Signal(t, syscall.SIGCONT)

	assert.Equal(t, "false", p.Line(t, "woke held="), "it believed when it woke up")
	p.Send(t, "write")
	answer := p.Line(t, "wrote held=false answer=")
	assert.Contains(t, answer, "409", "the late write with token %s", old)
	assert.Equal(t, "new", r.content(), "the late write changed the resource")
}

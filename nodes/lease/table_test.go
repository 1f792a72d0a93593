package lease_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lockstep/engine"
	"lockstep/nodes/lease"
)

const ttl = 10 * time.Second

func TestSilenceIsRecordedInStepsThenTheSessionExpires(t *testing.T) {
	table := lease.New(0, nil)
	table.Opened(1, ttl, 0)
	var got []lease.Decision
	for {
		next, ok := table.Plan()
		if !ok {
			break
		}
		got = append(got, table.Advance(next)...)
	}
	step := ttl / 4
	want := []lease.Decision{
		{Session: 1, Observed: step},
		{Session: 1, Observed: step},
		{Session: 1, Observed: step},
		{Session: 1, Expire: true},
	}
	assert.Equal(t, want, got)
	assert.Equal(t, lease.Doomed, table.Arrived(1))
	assert.Equal(t, lease.Doomed, table.Acknowledge(1, ttl))
}

func TestHeartbeatConfirmedAfterSilenceWasProposedNeedsAlive(t *testing.T) {
	table := lease.New(0, nil)
	table.Opened(1, ttl, 0)
	require.Equal(t, lease.Fine, table.Arrived(1))
	require.Len(t, table.Advance(ttl/4), 1)
	assert.Equal(t, lease.NeedsAlive, table.Acknowledge(1, time.Second), "the round ended after Silent was proposed")
	assert.Equal(t, lease.Fine, table.Alive(1, table.Silences(1), 3*time.Second))
	assert.Equal(t, lease.Fine, table.Acknowledge(1, 4*time.Second))
}

func TestAliveDoesNotCoverSilenceProposedAfterIt(t *testing.T) {
	table := lease.New(0, nil)
	table.Opened(1, ttl, 0)
	require.Len(t, table.Advance(ttl/4), 1)
	proposed := table.Silences(1)
	require.Len(t, table.Advance(ttl/2), 1, "before Alive is applied")
	assert.Equal(t, lease.NeedsAlive, table.Alive(1, proposed, ttl/2-1), "the log has Alive, then Silent")
	assert.Equal(t, lease.NeedsAlive, table.Acknowledge(1, ttl/2))
	assert.Equal(t, lease.Fine, table.Alive(1, table.Silences(1), ttl/2))
}

func TestTakeOverDoesNotUndoWhatWasDecidedBefore(t *testing.T) {
	table := lease.New(0, nil)
	table.Opened(1, ttl, 0)
	require.Len(t, table.Advance(ttl/4), 1)
	table.TakenOver(1, ttl, ttl/4)
	assert.Equal(t, lease.NeedsAlive, table.Arrived(1), "Silent may stand behind the take-over in the log")
	require.Len(t, expiries(table.Advance(ttl/4+ttl)), 1)
	table.TakenOver(1, ttl, ttl/4+ttl)
	assert.Equal(t, lease.Doomed, table.Arrived(1), "ExpireSession may stand behind the take-over in the log")
}

func TestNewTenureCountsRecordedSilence(t *testing.T) {
	table := lease.New(time.Hour, []lease.Seed{{Session: 1, TTL: ttl, Silence: 9 * time.Second}})
	assert.Equal(t, lease.NeedsAlive, table.Arrived(1))
	assert.Empty(t, table.Advance(time.Hour+time.Second-1))
	assert.Equal(t, []lease.Decision{{Session: 1, Expire: true}}, table.Advance(time.Hour+time.Second))
}

func TestOwnStallMovesAllDeadlines(t *testing.T) {
	table := lease.New(0, nil)
	table.Opened(1, ttl, 0)
	planned, ok := table.Plan()
	require.True(t, ok)
	stall := 20 * time.Second
	decisions := table.Advance(planned + stall)
	for _, d := range decisions {
		assert.False(t, d.Expire, "the node itself did not run for that time")
		assert.LessOrEqual(t, d.Observed, ttl/4, "only what was observed is recorded")
	}
	assert.Empty(t, expiries(table.Advance(planned+stall+ttl-ttl/4-1)))
}

func TestLateButNotStalledStillExpiresOnTime(t *testing.T) {
	table := lease.New(0, nil)
	table.Opened(1, ttl, 0)
	_, _ = table.Plan()
	table.Advance(ttl/4 + 500*time.Millisecond)
	assert.Len(t, expiries(table.Advance(ttl)), 1)
}

func TestGoneSessionIsForgotten(t *testing.T) {
	table := lease.New(0, nil)
	table.Opened(1, ttl, 0)
	table.Gone(1)
	table.Gone(1)
	assert.Equal(t, lease.Unknown, table.Arrived(1))
	_, ok := table.Plan()
	assert.False(t, ok)
}

func expiries(ds []lease.Decision) []lease.Decision {
	var out []lease.Decision
	for _, d := range ds {
		if d.Expire {
			out = append(out, d)
		}
	}
	return out
}

// Whatever heartbeats come when: no session expires before its last acknowledged
// heartbeat + TTL, each silent one expires by then, and recorded silence never
// exceeds what passed without an acknowledgement.
func TestProp_ExpiryIsNeitherEarlyNorLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := lease.New(0, nil)
		last := map[engine.SessionID]time.Duration{}
		recorded := map[engine.SessionID]time.Duration{}
		ttls := map[engine.SessionID]time.Duration{}
		for id := engine.SessionID(1); id <= 4; id++ {
			ttls[id] = time.Duration(rapid.IntRange(3, 30).Draw(t, "ttl")) * time.Second
			table.Opened(id, ttls[id], 0)
		}
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			to := now + time.Duration(rapid.IntRange(1, 4000).Draw(t, "ms"))*time.Millisecond
			for {
				next, ok := table.Plan()
				if !ok || next > to {
					break
				}
				now = max(now, next)
				for _, d := range table.Advance(now) {
					if !d.Expire {
						recorded[d.Session] += d.Observed
						require.LessOrEqual(t, recorded[d.Session], now-last[d.Session])
						continue
					}
					require.Equal(t, last[d.Session]+ttls[d.Session], now, "session %d", d.Session)
					table.Gone(d.Session)
					delete(ttls, d.Session)
				}
			}
			now = to
			id := engine.SessionID(rapid.IntRange(1, 4).Draw(t, "session"))
			switch table.Arrived(id) {
			case lease.Fine:
				require.Equal(t, lease.Fine, table.Acknowledge(id, now))
				last[id], recorded[id] = now, 0
			case lease.NeedsAlive:
				require.Equal(t, lease.Fine, table.Alive(id, table.Silences(id), now))
				last[id], recorded[id] = now, 0
			case lease.Unknown:
				require.NotContains(t, ttls, id)
			case lease.Doomed:
				t.Fatalf("session %d was doomed and not removed", id)
			}
		}
	})
}

func BenchmarkHeartbeats100k(b *testing.B) {
	const n = 100_000
	table := lease.New(0, nil)
	for id := range n {
		table.Opened(engine.SessionID(id+1), ttl, 0)
	}
	b.ReportAllocs()
	now := time.Duration(0)
	for i := 0; b.Loop(); i++ {
		now += 20 * time.Microsecond
		table.Acknowledge(engine.SessionID(i%n+1), now)
		if next, ok := table.Plan(); ok && next <= now {
			table.Advance(now)
		}
	}
}

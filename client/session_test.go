package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
)

func TestHeartbeatsKeepTheSessionAlive(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t, Label("test"))
		assert.Equal(t, 10*time.Second, session.TTL())
		assert.Equal(t, 4*time.Second, session.Grace())
		g := acquired(t, session.Lock("/a"))
		ctx := g.Context()
		for range 20 {
			pass(5 * time.Second)
			require.True(t, g.Held())
			require.Equal(t, StateAlive, session.State())
			left := mono.Until(session.BelievesUntil())
			require.LessOrEqual(t, left, 6*time.Second)
			require.Greater(t, left, 3*time.Second)
		}
		assert.NoError(t, ctx.Err())
	})
}

func TestBeliefEndsBeforeTheServiceExpiresAndMayComeBack(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		events := session.Events()
		require.Equal(t, StateAlive, (<-events).State)
		g := acquired(t, session.Lock("/a"))
		ctx := g.Context()
		s.net.Partition("c", "n1")
		cut := mono.Now()
		<-ctx.Done()
		assert.ErrorIs(t, context.Cause(ctx), ErrLost)
		assert.LessOrEqual(t, mono.Since(cut), 6*time.Second)
		assert.False(t, g.Held())
		assert.Equal(t, 1, s.holders("/a"), "the service still keeps the lock")
		assert.Equal(t, StateJeopardy, (<-events).State)

		s.net.HealAll()
		assert.Equal(t, StateAlive, (<-events).State)
		synctest.Wait()
		assert.True(t, g.Held(), "recovered")
		assert.Error(t, ctx.Err(), "a context that has ended never comes back")
		assert.NoError(t, g.Context().Err())
	})
}

func TestSessionExpires(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		g := acquired(t, session.Lock("/a"))
		waiting := inBackground(t.Context(), session.Lock("/a"))
		events := session.Events()
		s.net.Partition("c", "n1")
		pass(20 * time.Second)
		s.net.HealAll()
		var last SessionEvent
		for e := range events {
			last = e
		}
		assert.Equal(t, StateExpired, last.State)
		require.ErrorIs(t, last.Cause, ErrSessionExpired)
		require.ErrorIs(t, (<-waiting).err, ErrSessionExpired)
		assert.False(t, g.Held())
		assert.ErrorIs(t, g.Release(t.Context()), ErrSessionExpired)
		assert.ErrorIs(t, context.Cause(session.Context()), ErrSessionExpired)
		_, err := session.Lock("/b").Acquire(t.Context())
		require.ErrorIs(t, err, ErrSessionExpired)
		assert.NoError(t, session.End(t.Context()), "ending what is over is fine")
		e, open := <-session.Events()
		assert.True(t, open)
		assert.Equal(t, StateExpired, e.State)
	})
}

func TestSuspensionEndsBeliefAtOnce(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		session := c.session(t)
		g := acquired(t, session.Lock("/a"))
		c.bent.suspended.Add(int64(7 * time.Second))
		assert.False(t, g.Held(), "asked before any timer has noticed")
		assert.True(t, session.BelievesUntil().IsZero())
		pass(3 * time.Second)
		assert.True(t, g.Held(), "a heartbeat that was sent since is acknowledged")
	})
}

func TestWallClockOnlyShortens(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		session := c.session(t)
		g := acquired(t, session.Lock("/a"))
		until := g.HeldUntil()

		c.bent.wallSet.Add(int64(2 * time.Second))
		assert.Equal(t, 2*time.Second, until.Sub(g.HeldUntil()), "forward")
		c.bent.wallSet.Add(-int64(2 * time.Hour))
		assert.Equal(t, until, g.HeldUntil(), "backward extends nothing")
		c.bent.wallSet.Add(int64(4 * time.Hour))
		assert.False(t, g.Held())
		c.bent.wallSet.Add(-int64(2 * time.Hour))
		assert.False(t, g.Held(), "what ended does not come back")
		pass(3 * time.Second)
		assert.True(t, g.Held(), "but by a new heartbeat")
	})
}

// Heartbeats are acknowledged, but a change of the grants was never heard of:
// belief in the grants is not extended until the state has been fetched.
func TestGrantsAreNotBelievedPastWhatWasHeard(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		g := acquired(t, session.Lock("/a"))
		s.with(func() {
			s.mute = true
			s.endGrant(s.find("/a", uint64(g.Token())), lockstepv1.EndReason_END_REASON_HOLD_ENDED)
			// The state cannot be fetched, either.
			s.intercept = func(f *lockstepv1.ClientFrame) bool { return f.GetGetSession() != nil }
		})
		pass(8 * time.Second)
		assert.Equal(t, StateAlive, session.State())
		assert.False(t, g.Held(), "no heartbeat since covers the grant")
		s.with(func() { s.intercept = nil })
		s.net.CutConnections("c", "n1")
		pass(3 * time.Second)
		assert.False(t, g.Held())
		assert.ErrorIs(t, context.Cause(g.Context()), ErrLost)
		assert.ErrorIs(t, g.Release(t.Context()), ErrNotHeld)
		acquired(t, session.Lock("/b"))
	})
}

// The first answer is lost on the way; the grant has ended when the retry's comes.
func TestGrantsOfThePastAreIgnored(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		other := acquired(t, session.Lock("/other"))
		s.with(func() { s.swallow = func(f *lockstepv1.NodeFrame) bool { return f.GetGranted() != nil } })
		waiting := inBackground(t.Context(), session.Lock("/a", Hold(time.Second)))
		s.net.Partition("c", "n1")
		pass(2 * time.Second)
		s.with(func() { s.swallow = nil })
		require.Zero(t, s.holders("/a"))
		s.net.CutConnections("c", "n1")
		s.net.HealAll()
		require.ErrorIs(t, (<-waiting).err, ErrLost)
		pass(3 * time.Second)
		assert.True(t, other.Held())
	})
}

func TestHoldGrantedAtOnceCountsFromTheFirstSending(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		s.net.SetLatency("c", "n1", 200*time.Millisecond)
		s.net.SetLatency("n1", "c", 200*time.Millisecond)
		sent := mono.Now()
		g := acquired(t, session.Lock("/a", Hold(2*time.Second)))
		assert.Equal(t, sent.Add(1960*time.Millisecond), g.HeldUntil())
		ctx := g.Context()
		<-ctx.Done()
		assert.Equal(t, 1960*time.Millisecond, mono.Since(sent))
		assert.ErrorContains(t, context.Cause(ctx), "the hold has ended")
		assert.Equal(t, StateAlive, session.State())
		pass(time.Second)
		assert.Zero(t, s.holders("/a"))
	})
}

func TestHoldIsNotMovedByRetries(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		sent := mono.Now()
		drop := true
		s.with(func() {
			s.swallow = func(f *lockstepv1.NodeFrame) bool { return drop && f.GetGranted() != nil }
		})
		waiting := inBackground(t.Context(), session.Lock("/a", Hold(5*time.Second)))
		pass(time.Second)
		s.with(func() { drop = false })
		s.net.CutConnections("c", "n1")
		got := <-waiting
		require.NoError(t, got.err)
		assert.Equal(t, sent.Add(4900*time.Millisecond), got.grant.HeldUntil())
	})
}

func TestHoldAfterAWaitIsAskedFor(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		g := acquired(t, c.session(t).Lock("/a"))
		waiting := inBackground(t.Context(), c.session(t).Lock("/a", Hold(5*time.Second)))
		pass(10 * time.Second)
		s.net.SetLatency("n1", "c", 300*time.Millisecond)
		require.NoError(t, g.Release(t.Context()))
		got := <-waiting
		require.NoError(t, got.err)
		// Granted at 10 s; pushed and asked at 10.3 s, when 4.7 s remained.
		asked := mono.Now().Add(-300 * time.Millisecond)
		assert.Equal(t, asked.Add(4700*time.Millisecond*98/100), got.grant.HeldUntil())
	})
}

func TestReentryKeepsTheHold(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		lock := session.Lock("/a", Hold(5*time.Second))
		first := acquired(t, lock)
		until := first.HeldUntil()
		pass(2 * time.Second)
		assert.Equal(t, until, acquired(t, lock).HeldUntil())
	})
}

func TestAcquireReturnsOnlyWithBelief(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		s.with(func() { s.beat = func(*lockstepv1.HeartbeatRequest) bool { return false } })
		pass(7 * time.Second)
		require.Equal(t, StateJeopardy, session.State())
		waiting := inBackground(t.Context(), session.Lock("/a"))
		require.Equal(t, 1, s.holders("/a"))
		select {
		case <-waiting:
			t.Fatal("a grant without belief was handed out")
		default:
		}
		s.with(func() { s.beat = nil })
		got := <-waiting
		require.NoError(t, got.err)
		assert.True(t, got.grant.Held())

		// And given up, it is released.
		s.with(func() { s.beat = func(*lockstepv1.HeartbeatRequest) bool { return false } })
		pass(7 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := session.Lock("/b").Acquire(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.Zero(t, s.holders("/b"))
	})
}

func TestEndReleasesEverything(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		g := acquired(t, session.Lock("/a"))
		ctx := g.Context()
		waiting := inBackground(t.Context(), session.Lock("/a"))
		require.NoError(t, session.End(t.Context()))
		assert.False(t, g.Held())
		assert.ErrorIs(t, context.Cause(ctx), ErrLost)
		require.ErrorIs(t, (<-waiting).err, ErrSessionExpired)
		assert.Zero(t, s.holders("/a"))
		assert.Empty(t, s.sessions)
		assert.Equal(t, StateExpired, session.State())
		_, err := session.Lock("/b").Acquire(t.Context())
		require.ErrorIs(t, err, ErrSessionExpired)
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestTakeOver(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		s.embargo = 3 * time.Second
		old := s.connect(t, "c1").session(t)
		lock := old.Lock("/a")
		g := acquired(t, lock)
		acquired(t, lock)
		waiting := inBackground(t.Context(), old.Lock("/b"))
		_ = (<-waiting).grant
		stuck := inBackground(t.Context(), old.Lock("/a"))

		heir, err := s.connect(t, "c2").TakeOver(t.Context(), old.Credential())
		require.NoError(t, err)
		require.ErrorIs(t, (<-stuck).err, ErrSuperseded)
		assert.False(t, g.Held(), "the old process stops at once")
		assert.Equal(t, StateExpired, old.State())
		assert.Equal(t, StateAlive, heir.State())
		assert.Equal(t, old.ID(), heir.ID())
		synctest.Wait()
		assert.Zero(t, s.waiters("/a"), "what the old process waited for is withdrawn")

		grants := heir.Grants()
		require.Len(t, grants, 3, "one for each acquisition")
		assert.Equal(t, g.Token(), grants[0].Token())
		assert.True(t, grants[0].Held())
		began := mono.Now()
		for _, g := range grants {
			require.NoError(t, g.Release(t.Context()))
		}
		assert.GreaterOrEqual(t, mono.Since(began), 2*time.Second, "the embargo")
		assert.Zero(t, s.holders("/a"))
		assert.NotEqual(t, lock.Owner(), heir.Lock("/a").Owner())
	})
}

func TestTakeOverRefusesWrongCredentials(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		right := c.session(t).Credential()
		for name, test := range map[string]struct {
			change func(*Credential)
			want   error
		}{
			"secret":  {func(c *Credential) { c.Secret = []byte("wrong") }, ErrNotPermitted},
			"session": {func(c *Credential) { c.Session = 99 }, ErrSessionExpired},
			"nothing": {func(c *Credential) { *c = Credential{} }, ErrInvalid},
			"lineage": {func(c *Credential) { c.Lineage-- }, ErrNewLineage},
		} {
			credential := right
			test.change(&credential)
			_, err := c.TakeOver(t.Context(), credential)
			require.ErrorIs(t, err, test.want, name)
		}
	})
}

func TestLeaveKeepsTheGrantsForTheHeir(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		old := s.connect(t, "c1").session(t)
		g := acquired(t, old.Lock("/a"))
		require.NoError(t, old.Leave(t.Context()))
		assert.False(t, g.Held())
		heir, err := s.connect(t, "c2").TakeOver(t.Context(), old.Credential())
		require.NoError(t, err)
		require.Len(t, heir.Grants(), 1)
		assert.True(t, heir.Grants()[0].Held())
	})
}

func TestNewLineageEndsEverySession(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		session := c.session(t)
		waiting := inBackground(t.Context(), session.Lock("/a"))
		require.NoError(t, (<-waiting).err)
		waiting = inBackground(t.Context(), session.Lock("/a"))
		s.with(func() {
			s.lineage++
			clear(s.sessions)
			clear(s.locks)
		})
		s.net.CutConnections("c", "n1")
		err := (<-waiting).err
		require.ErrorIs(t, err, ErrSessionExpired)
		require.ErrorIs(t, err, ErrNewLineage)
		assert.EqualValues(t, 8, c.Lineage())
		acquired(t, c.session(t).Lock("/a"))
	})
}

func TestSessionOptionsAreChecked(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		for name, opts := range map[string][]SessionOption{
			"negative TTL":          {TTL(-time.Second)},
			"grace as long as TTL":  {TTL(5 * time.Second), Grace(5 * time.Second)},
			"grace below the drift": {TTL(101 * time.Second), Grace(2*time.Second - 1)},
			"negative grace":        {Grace(-1)},
			"endless label":         {Label(string(make([]byte, MaxText+1)))},
		} {
			_, err := c.NewSession(t.Context(), opts...)
			require.ErrorIs(t, err, ErrInvalid, name)
		}
		require.Empty(t, s.sessions)
	})
}

func TestOpeningIsExactlyOnce(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		s.with(func() {
			s.swallow = func(*lockstepv1.NodeFrame) bool { s.swallow = nil; return true }
		})
		opened := make(chan error, 1)
		go func() {
			_, err := c.NewSession(t.Context())
			opened <- err
		}()
		pass(time.Second)
		s.net.CutConnections("c", "n1")
		require.NoError(t, <-opened)
		s.with(func() { assert.Len(t, s.sessions, 1) })
	})
}

func TestAbandonedOpeningIsEnded(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		s.net.SetLatency("n1", "c", time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := c.NewSession(ctx, TTL(24*time.Hour))
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		s.with(func() { assert.Len(t, s.sessions, 1) })
		pass(5 * time.Second)
		s.with(func() { assert.Empty(t, s.sessions) })
	})
}

func TestEventsOfASlowReader(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		events := session.Events()
		for range MaxSessionEvents {
			session.mu.Lock()
			session.enterLocked(StateJeopardy, mono.Now())
			session.enterLocked(StateAlive, mono.Now())
			session.mu.Unlock()
		}
		require.NoError(t, session.End(t.Context()))
		var last SessionEvent
		n := 0
		for e := range events {
			last = e
			n++
		}
		assert.Equal(t, MaxSessionEvents, n)
		assert.Equal(t, StateExpired, last.State, "the latest is never missed")
	})
}

func TestClosedClient(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		session := c.session(t)
		g := acquired(t, session.Lock("/a"))
		waiting := inBackground(t.Context(), session.Lock("/a"))
		require.NoError(t, c.Close())
		require.NoError(t, c.Close(), "again")
		require.ErrorIs(t, (<-waiting).err, ErrClosed)
		assert.False(t, g.Held())
		assert.ErrorIs(t, g.Release(t.Context()), ErrClosed)
		assert.ErrorIs(t, session.End(t.Context()), ErrClosed)
		_, err := c.NewSession(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		_, err = c.Status(t.Context(), "")
		require.ErrorIs(t, err, ErrClosed)
		for _, err := range c.Watch(t.Context(), "/") {
			require.ErrorIs(t, err, ErrClosed)
		}
		assert.Equal(t, 1, s.holders("/a"), "closing abandons, it does not release")
	})
}

func TestErrorsTellWhatHappened(t *testing.T) {
	e := &Error{
		Op: "acquire", Path: "/a", Err: ErrHeld, Holder: &GrantInfo{Session: 3, Token: 9},
		RetryAfter: time.Second, Cause: context.Canceled,
	}
	assert.EqualError(t, e, "acquire /a: lockstep: the lock is held by somebody else (held by session 3 with token 9) (try again in 1s): context canceled")
	require.ErrorIs(t, e, ErrHeld)
	require.ErrorIs(t, e, context.Canceled)
	gone := &HistoryGoneError{Oldest: Position{Index: 3, N: 1}}
	require.ErrorIs(t, gone, ErrHistoryGone)
	assert.False(t, errors.Is(gone, ErrHeld))
}

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

func TestAcquireAndRelease(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		lock := session.Lock("/a")
		g := acquired(t, lock)
		assert.True(t, g.Held())
		assert.Equal(t, "/a", g.Path())
		assert.Equal(t, ModeExclusive, g.Mode())
		assert.EqualValues(t, 1, g.Token())
		assert.NoError(t, g.Context().Err())
		require.NoError(t, g.Validate(t.Context()))

		ctx := g.Context()
		require.NoError(t, g.Release(t.Context()))
		assert.False(t, g.Held())
		assert.ErrorIs(t, context.Cause(ctx), ErrReleased)
		assert.ErrorIs(t, g.Release(t.Context()), ErrNotHeld, "released twice")
		assert.ErrorIs(t, g.Validate(t.Context()), ErrNotHeld)
		assert.ErrorIs(t, lock.Release(t.Context()), ErrNotHeld)
		assert.Zero(t, s.holders("/a"))
	})
}

func TestReentrantAcquiresShareTheGrant(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		lock := session.Lock("/a")
		first, second := acquired(t, lock), acquired(t, lock)
		assert.Equal(t, first.Token(), second.Token())
		require.NoError(t, first.Release(t.Context()))
		assert.False(t, first.Held())
		assert.True(t, second.Held())
		assert.NoError(t, second.Context().Err())
		require.NoError(t, lock.Release(t.Context()))
		assert.False(t, second.Held())
		assert.Zero(t, s.holders("/a"))
	})
}

func TestHandlesOfOneSessionExcludeEachOther(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		acquired(t, session.Lock("/a"))
		_, err := session.Lock("/a").TryAcquire(t.Context())
		require.ErrorIs(t, err, ErrHeld)
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, session.ID(), e.Holder.Session)

		same := session.Lock("/b", Owner(5))
		acquired(t, same)
		acquired(t, session.Lock("/b", Owner(5)))
	})
}

func TestWaiterIsGrantedByPush(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		g := acquired(t, c.session(t).Lock("/a"))
		waiting := inBackground(t.Context(), c.session(t).Lock("/a"))
		require.Equal(t, 1, s.waiters("/a"))
		require.NoError(t, g.Release(t.Context()))
		got := <-waiting
		require.NoError(t, got.err)
		assert.True(t, got.grant.Held())
		assert.Equal(t, g.Token(), got.grant.Floor())
	})
}

func TestWaiterIsGrantedByAskingWhenThePushIsLost(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		g := acquired(t, c.session(t).Lock("/a"))
		waiting := inBackground(t.Context(), c.session(t).Lock("/a"))
		s.with(func() { s.mute = true })
		require.NoError(t, g.Release(t.Context()))
		got := <-waiting
		require.NoError(t, got.err)
		assert.True(t, got.grant.Held())
	})
}

func TestWaiterIsGrantedAcrossReconnect(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		holder, waiter := s.connect(t, "c1"), s.connect(t, "c2")
		g := acquired(t, holder.session(t).Lock("/a"))
		waiting := inBackground(t.Context(), waiter.session(t).Lock("/a"))
		s.net.Partition("c2", "n1")
		require.NoError(t, g.Release(t.Context()))
		pass(time.Second)
		s.net.CutConnections("c2", "n1")
		s.net.HealAll()
		got := <-waiting
		require.NoError(t, got.err)
		assert.True(t, got.grant.Held())
	})
}

func TestWaitEndsInTime(t *testing.T) {
	for name, mute := range map[string]bool{"told": false, "found by asking": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T) {
				s := newService(t, "n1")
				c := s.connect(t, "c")
				acquired(t, c.session(t).Lock("/a"))
				s.with(func() { s.mute = mute })
				_, err := c.session(t).Lock("/a").Acquire(t.Context(), WithWait(3*time.Second))
				require.ErrorIs(t, err, ErrTimeout)
				assert.NotErrorIs(t, err, ErrOutcomeUnknown)
			})
		})
	}
}

func TestContextWithdrawsTheWaiter(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		acquired(t, c.session(t).Lock("/a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.session(t).Lock("/a").Acquire(ctx)
		require.ErrorIs(t, err, ErrTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, ErrOutcomeUnknown)
		assert.Zero(t, s.waiters("/a"))
	})
}

func TestEndedContextAsksNothing(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := session.Lock("/a").Acquire(ctx)
		require.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, s.executed)
	})
}

// The answers to the acquire and then to its cancellation are dropped: the
// outcome is unknown, and nothing may be left behind in the end.
func TestUnknownOutcomeLeavesNothingBehind(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		s.with(func() { s.swallow = func(*lockstepv1.NodeFrame) bool { return true } })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := session.Lock("/a").Acquire(ctx)
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, s.holders("/a"), "it was granted")
		s.with(func() { s.swallow = nil })
		s.net.CutConnections("c", "n1")
		pass(5 * time.Second)
		assert.Zero(t, s.holders("/a"), "released in the background")
		assert.Equal(t, StateAlive, session.State())
		s.exactlyOnce(t)
		assert.Equal(t, session.window.last, session.window.acked, "every sequence has come to an end")
	})
}

func TestNoQuorumIsSaidClearly(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t, TTL(time.Minute))
		s.with(func() {
			s.problem = &lockstepv1.Problem{Code: lockstepv1.Code_CODE_NO_QUORUM, Detail: "no quorum: start the nodes that are down"}
		})
		began := mono.Now()
		_, err := session.Lock("/a").Acquire(t.Context())
		require.ErrorIs(t, err, ErrUnavailable)
		assert.NotErrorIs(t, err, ErrOutcomeUnknown, "every attempt was refused unexecuted")
		assert.ErrorContains(t, err, "start the nodes that are down")
		assert.InDelta(t, 10*time.Second, mono.Since(began), float64(time.Second))

		s.with(func() { s.problem = nil })
		acquired(t, session.Lock("/b"))
		pass(3 * time.Second)
		assert.Zero(t, s.holders("/a"), "what was given up is withdrawn")
		s.exactlyOnce(t)
	})
}

func TestUnknownOutcomeOfTheServiceIsTriedAgain(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		s.with(func() {
			s.swallow = func(f *lockstepv1.NodeFrame) bool {
				// Once: executed, but answered as unknown.
				s.swallow = nil
				f.Body = &lockstepv1.NodeFrame_Problem{Problem: &lockstepv1.Problem{Code: lockstepv1.Code_CODE_UNKNOWN_OUTCOME}}
				return false
			}
		})
		g := acquired(t, session.Lock("/a"))
		assert.True(t, g.Held())
		s.exactlyOnce(t)
	})
}

func TestLockedOutOfTheWindowRequestsWaitTheirTurn(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		held := 0
		s.with(func() {
			s.intercept = func(f *lockstepv1.ClientFrame) bool {
				if f.GetAcquire() != nil {
					held++
				}
				return f.GetAcquire() != nil
			}
		})
		var waiting []<-chan outcome
		for range MaxOutstanding + 20 {
			waiting = append(waiting, inBackground(t.Context(), session.Lock("/a", Shared())))
		}
		s.with(func() { assert.Equal(t, MaxOutstanding, held); s.intercept = nil })
		s.net.CutConnections("c", "n1")
		for _, w := range waiting {
			got := <-w
			require.NoError(t, got.err)
		}
		s.exactlyOnce(t)
	})
}

func TestInvalidRequestsAreRefusedWithoutAsking(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		for name, lock := range map[string]*Lock{
			"no slash":       session.Lock("a"),
			"empty":          session.Lock(""),
			"over-long":      session.Lock("/" + string(make([]byte, MaxText))),
			"negative hold":  session.Lock("/a", Hold(-1)),
			"negative delay": session.Lock("/a", Delay(-1)),
		} {
			_, err := lock.Acquire(t.Context())
			require.ErrorIs(t, err, ErrInvalid, name)
		}
		assert.Empty(t, s.executed)
	})
}

// The cancellation finds the grant: the answer was on its way when the context ended.
func TestCancelRaces(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		s.net.SetLatency("n1", "c", 300*time.Millisecond)
		for _, after := range []time.Duration{0, time.Millisecond, 299 * time.Millisecond, 300 * time.Millisecond, 301 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			g, err := session.Lock("/a").Acquire(ctx)
			cancel()
			if err == nil {
				require.NoError(t, g.Release(t.Context()))
			} else {
				require.True(t, errors.Is(err, ErrTimeout) || errors.Is(err, ErrUnavailable), "%v", err)
				require.NotErrorIs(t, err, ErrOutcomeUnknown)
			}
			pass(2 * time.Second)
			assert.Zero(t, s.holders("/a"), "context ended after %v", after)
			assert.Equal(t, session.window.last, session.window.acked)
		}
		s.exactlyOnce(t)
	})
}

func TestReleaseGoesOnInTheBackground(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		g := acquired(t, session.Lock("/a"))
		s.net.Partition("c", "n1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := g.Release(ctx)
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		assert.False(t, g.Held(), "belief ended before the request left")
		assert.Equal(t, 1, s.holders("/a"))
		s.net.HealAll()
		require.NoError(t, g.Release(t.Context()), "waits for the same release")
		assert.Zero(t, s.holders("/a"))
		assert.ErrorIs(t, g.Release(t.Context()), ErrNotHeld)
		s.exactlyOnce(t)
	})
}

// An owner that acquires again while its release is still on its way enters the
// grant again if it overtakes the release. What it gets then is a grant like any
// other, and nothing is left behind.
func TestAcquireOvertakesTheReleaseBeforeIt(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		lock := session.Lock("/a")
		g := acquired(t, lock)
		// A release that has lowered belief, and whose request is overtaken.
		session.mu.Lock()
		late := newRelease(session, g.held)
		g.release, late.handle = late, g
		g.detachLocked()
		session.lowerLocked(g.held, ErrReleased)
		session.mu.Unlock()
		require.False(t, g.Held())
		again := acquired(t, lock)
		assert.Equal(t, g.Token(), again.Token())
		assert.True(t, again.Held())
		assert.NoError(t, again.Context().Err())
		assert.False(t, g.Held(), "what was given up does not come back")
		session.mu.Lock()
		session.issueLocked(&late.request)
		session.mu.Unlock()
		require.NoError(t, g.Release(t.Context()), "waits for the late one")
		assert.True(t, again.Held())
		require.NoError(t, again.Release(t.Context()))
		assert.Zero(t, s.holders("/a"))
	})
}

func TestDo(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		lock := session.Lock("/a")
		broken := errors.New("broken")
		err := Do(t.Context(), lock, func(ctx context.Context, g *Grant) error {
			assert.True(t, g.Held())
			assert.NoError(t, ctx.Err())
			return broken
		})
		require.ErrorIs(t, err, broken)
		assert.Zero(t, s.holders("/a"))

		assert.Panics(t, func() {
			_ = Do(t.Context(), lock, func(context.Context, *Grant) error { panic("in the middle") })
		})
		assert.Zero(t, s.holders("/a"))

		// Belief ends while fn runs.
		err = Do(t.Context(), lock, func(ctx context.Context, g *Grant) error {
			s.net.Partition("c", "n1")
			<-ctx.Done()
			assert.False(t, g.Held())
			s.net.HealAll()
			return context.Cause(ctx)
		})
		require.ErrorIs(t, err, ErrLost)
	})
}

func TestLocker(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		locker := session.Locker("/a")
		assert.Nil(t, locker.Grant())
		locker.Lock()
		assert.True(t, locker.Grant().Held())
		entered := make(chan struct{})
		go func() {
			locker.Lock() // another owner: not reentrant
			close(entered)
		}()
		synctest.Wait()
		select {
		case <-entered:
			t.Fatal("two goroutines are inside")
		default:
		}
		locker.Unlock()
		<-entered
		locker.Unlock()
		synctest.Wait()
		assert.Zero(t, s.holders("/a"))
		assert.Panics(t, locker.Unlock)
		require.NoError(t, session.End(t.Context()))
		assert.Panics(t, locker.Lock)
	})
}

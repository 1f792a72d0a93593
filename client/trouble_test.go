package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// without lets the service answer everything with a problem.
func (s *service) without(code lockstepv1.Code) {
	s.with(func() { s.problem = &lockstepv1.Problem{Code: code, Detail: "out of order"} })
}

func TestNobodyWaitsForEver(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		session := c.session(t, TTL(time.Hour))
		g := acquired(t, session.Lock("/a"))
		s.without(lockstepv1.Code_CODE_NO_QUORUM)
		timed := func(what string, do func() error) {
			began := mono.Now()
			err := do()
			require.ErrorIs(t, err, ErrUnavailable, what)
			assert.ErrorContains(t, err, "out of order", what)
			assert.InDelta(t, 10, mono.Since(began).Seconds(), 1, what)
		}
		timed("read", func() error {
			for _, err := range c.ListLocks(t.Context(), "/") {
				return err
			}
			return nil
		})
		timed("session", func() error { _, err := c.NewSession(t.Context()); return err })
		timed("validate", func() error { return g.Validate(t.Context()) })
		timed("release", func() error { return g.Release(t.Context()) })
		timed("end", func() error { return session.End(t.Context()) })
		s.with(func() { s.problem = nil })
		pass(5 * time.Second)
		assert.Zero(t, s.holders("/a"), "the release went on in the background")
		assert.Empty(t, s.sessions, "and so did the end; the session that was given up is gone, too")
		s.exactlyOnce(t)
	})
}

func TestBacklogIsNotWaitedForForEver(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t, TTL(time.Hour))
		s.without(lockstepv1.Code_CODE_NO_LEADER)
		var waiting []<-chan outcome
		for range MaxOutstanding + 5 {
			waiting = append(waiting, inBackground(t.Context(), session.Lock("/a", Shared())))
		}
		pass(5 * time.Second)
		late := inBackground(t.Context(), session.Lock("/a", Shared()))
		for _, w := range waiting {
			require.ErrorIs(t, (<-w).err, ErrUnavailable)
		}
		require.ErrorIs(t, (<-late).err, ErrUnavailable)
		s.with(func() { s.problem = nil })
		pass(10 * time.Second)
		assert.Zero(t, s.holders("/a"))
		acquired(t, session.Lock("/a"))
		s.exactlyOnce(t)
	})
}

// The window is full of requests whose fate is unknown; their withdrawals find no
// room in it. Only the requests' own answers can make some.
func TestFullWindowOfUnknownOutcomes(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t, TTL(time.Hour))
		s.with(func() {
			s.swallow = func(*lockstepv1.NodeFrame) bool { return true }
		})
		var waiting []<-chan outcome
		for range MaxOutstanding {
			waiting = append(waiting, inBackground(t.Context(), session.Lock("/a", Shared())))
		}
		for _, w := range waiting {
			require.ErrorIs(t, (<-w).err, ErrOutcomeUnknown)
		}
		require.Equal(t, MaxOutstanding, s.holders("/a"))
		s.with(func() { s.swallow = nil })
		s.net.CutConnections("c", "n1")
		acquired(t, session.Lock("/b"))
		pass(5 * time.Second)
		assert.Zero(t, s.holders("/a"))
		assert.Equal(t, session.window.last, session.window.acked)
		s.exactlyOnce(t)
	})
}

func TestEveryRetryableProblemIsRetried(t *testing.T) {
	for _, code := range []lockstepv1.Code{
		lockstepv1.Code_CODE_NO_LEADER, lockstepv1.Code_CODE_NO_QUORUM, lockstepv1.Code_CODE_RESOURCE_EXHAUSTED,
		lockstepv1.Code_CODE_STOPPING, lockstepv1.Code_CODE_UNKNOWN_OUTCOME, lockstepv1.Code_CODE_NOT_BOUND,
	} {
		t.Run(code.String(), func(t *testing.T) {
			run(t, func(t *testing.T) {
				s := newService(t, "n1")
				session := s.connect(t, "c").session(t)
				s.without(code)
				waiting := inBackground(t.Context(), session.Lock("/a"))
				pass(3 * time.Second)
				s.with(func() { s.problem = nil })
				got := <-waiting
				require.NoError(t, got.err)
				pass(10 * time.Second)
				assert.True(t, got.grant.Held())
				s.exactlyOnce(t)
			})
		})
	}
}

func TestFinalProblemsAreTold(t *testing.T) {
	for code, want := range map[lockstepv1.Code]error{
		lockstepv1.Code_CODE_INVALID:       ErrInvalid,
		lockstepv1.Code_CODE_NOT_PERMITTED: ErrNotPermitted,
		lockstepv1.Code_CODE_TOO_STALE:     ErrTooStale,
		lockstepv1.Code_CODE_VERSION:       ErrVersion,
		lockstepv1.Code_CODE_WRONG_CLUSTER: ErrWrongCluster,
		lockstepv1.Code_CODE_WRONG_LINEAGE: ErrNewLineage,
	} {
		t.Run(code.String(), func(t *testing.T) {
			run(t, func(t *testing.T) {
				s := newService(t, "n1")
				session := s.connect(t, "c").session(t)
				s.without(code)
				_, err := session.Lock("/a").Acquire(t.Context())
				require.ErrorIs(t, err, want)
				s.with(func() { s.problem = nil })
			})
		})
	}
}

func TestForgottenBindingsAreRenewed(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		g := acquired(t, session.Lock("/a"))
		forget := func() {
			s.with(func() {
				for _, x := range s.sessions {
					clear(x.on.bound)
				}
			})
		}
		forget()
		acquired(t, session.Lock("/b"))
		for range 5 {
			forget()
			pass(5 * time.Second)
			require.True(t, g.Held())
		}
	})
}

func TestUndecidedHeartbeatsAreRepeatedSoon(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		beats := 0
		s.with(func() {
			s.beat = func(*lockstepv1.HeartbeatRequest) bool { beats++; return true }
			s.problem = &lockstepv1.Problem{Code: lockstepv1.Code_CODE_NO_LEADER}
		})
		pass(4 * time.Second)
		assert.Greater(t, beats, 4, "sooner than every TTL/5")
		s.with(func() { s.problem = nil })
		pass(2 * time.Second)
		assert.Greater(t, mono.Until(session.BelievesUntil()), 3*time.Second)
	})
}

func TestStoppedWatchIsStartedAgain(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		w := watches(s)
		serve := s.onWatch
		reasons := []lockstepv1.WatchEnded_Reason{
			lockstepv1.WatchEnded_REASON_STOPPED, lockstepv1.WatchEnded_REASON_TOO_SLOW, lockstepv1.WatchEnded_REASON_UNSPECIFIED, 99,
		}
		s.onWatch = func(o *fakeStream, start *lockstepv1.StartWatch) {
			if len(reasons) == 0 {
				serve(o, start)
				return
			}
			end := &lockstepv1.WatchEnded{Reason: reasons[0]}
			reasons = reasons[1:]
			w.tell(o, &lockstepv1.WatchFrame{Watch: start.GetWatch(), Body: &lockstepv1.WatchFrame_Ended{Ended: end}})
		}
		w.happen(3)
		c := s.connect(t, "c")
		for e, err := range c.Watch(t.Context(), "/", After(Position{})) {
			require.NoError(t, err)
			assert.EqualValues(t, 1, e.Token)
			break
		}
		assert.Empty(t, reasons)
	})
}

// A node that answers with what was not asked for does not confuse the client.
func TestNonsenseAnswers(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		session := c.session(t)
		g := acquired(t, session.Lock("/a"))
		s.with(func() {
			s.swallow = func(f *lockstepv1.NodeFrame) bool {
				f.Body = &lockstepv1.NodeFrame_WaiterList{WaiterList: &lockstepv1.WaiterList{}}
				return false
			}
		})
		_, err := session.Lock("/b").Acquire(t.Context())
		require.ErrorIs(t, err, ErrVersion)
		require.ErrorIs(t, g.Validate(t.Context()), ErrVersion)
		_, err = c.NewSession(t.Context())
		require.ErrorIs(t, err, ErrVersion)
		for _, err := range c.ListLocks(t.Context(), "/") {
			require.ErrorIs(t, err, ErrVersion)
		}
		for _, err := range c.ListSessions(t.Context()) {
			require.ErrorIs(t, err, ErrVersion)
		}
		_, err = c.TakeOver(t.Context(), session.Credential())
		require.ErrorIs(t, err, ErrVersion)
	})
}

func TestAnswersToNobodyAreIgnored(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		session := s.connect(t, "c").session(t)
		s.with(func() {
			for _, x := range s.sessions {
				_ = x.on.out.TryEnqueueMessage(&lockstepv1.NodeFrame{Id: 1 << 40, Body: &lockstepv1.NodeFrame_Released{}})
				_ = x.on.out.TryEnqueueMessage(&lockstepv1.NodeFrame{Id: 1, Body: &lockstepv1.NodeFrame_Released{}})
				_ = x.on.out.TryEnqueueMessage(&lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_SessionEvents{SessionEvents: &lockstepv1.SessionEvents{Session: 999}}})
			}
		})
		synctest.Wait()
		assert.True(t, acquired(t, session.Lock("/a")).Held())
	})
}

package tenure_test

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/engine"
	"lockstep/nodes/confirm"
	"lockstep/nodes/lease"
	"lockstep/nodes/propose"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/replica"
	"lockstep/nodes/tenure"
	"lockstep/transport/clocks/system"
)

const ttl = 10 * time.Second

// stage is Raft as the test plays it: terms move when the test says so, and
// entries are committed when and where it says so.
type stage struct {
	t       *testing.T
	replica *replica.Replica
	office  *tenure.Office
	stop    func()

	mu      sync.Mutex
	term    uint64
	leading bool
	changes chan struct{}
	index   uint64
	held    bool // entries wait in flight
	flight  []inFlight
	refuse  error
	voters  []string
}

type inFlight struct {
	data   []byte
	settle func(response any, index, term uint64, err error)
}

func (s *stage) Term() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.term
}

func (s *stage) Leading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leading
}

func (s *stage) LeaderChanges() <-chan struct{} { return s.changes }
func (s *stage) CommitIndex() uint64            { return 0 }
func (s *stage) Ask(string, uint64, uint64)     {}
func (s *stage) Voters() []string               { return s.voters }

func (s *stage) Propose(data []byte) *raftwire.Proposal {
	p, settle := raftwire.NewProposal()
	s.mu.Lock()
	refuse, held := s.refuse, s.held
	if held {
		s.flight = append(s.flight, inFlight{data, settle})
	}
	s.mu.Unlock()
	switch {
	case refuse != nil:
		settle(nil, 0, 0, refuse)
	case !held:
		s.commit(inFlight{data, settle})
	}
	return p
}

// commit appends an entry in the present term and applies it.
func (s *stage) commit(e inFlight) {
	s.mu.Lock()
	s.index++
	index, term := s.index, s.term
	s.mu.Unlock()
	e.settle(s.replica.Apply(index, term, e.data), index, term, nil)
}

// become moves the term.
func (s *stage) become(term uint64, leading bool) {
	s.mu.Lock()
	s.term, s.leading = term, leading
	s.mu.Unlock()
	s.changes <- struct{}{}
	synctest.Wait()
}

func (s *stage) hold(held bool) []inFlight {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	flight := s.flight
	s.flight = nil
	return flight
}

func (s *stage) refusing(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

// play runs f with an office of node n1, in virtual time.
func play(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		logger := slog.New(slog.NewTextHandler(io.Discard, nil))
		s := &stage{t: t, changes: make(chan struct{}, 1), voters: []string{"n1"}, term: 1}
		var err error
		s.replica, err = replica.New(engine.DefaultConfig(1), logger, func(reason string) { panic(reason) })
		require.NoError(t, err)
		s.office = tenure.New("n1", propose.DefaultConfig(), confirm.DefaultConfig(), tenure.Deps{
			Electorate: s, Clocks: system.Clocks(), Logger: logger, Changed: func() {},
		})
		s.replica.Subscribe(s.office)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.office.Run(ctx, s)
		}()
		s.stop = func() {
			cancel()
			<-ended
		}
		defer s.stop()
		f(t, s)
	})
}

type result struct {
	result engine.Result
	err    error
}

type waiter chan result

func (w waiter) Decided(r engine.Result) { w <- result{result: r} }
func (w waiter) Failed(err error)        { w <- result{err: err} }

// open opens a session through the tenure.
func (s *stage) open(secret byte) engine.SessionID {
	s.t.Helper()
	w := make(waiter, 1)
	require.NoError(s.t, s.office.Current().Submit(&engine.OpenSession{
		SecretHash: [32]byte{secret}, TTL: ttl, Grace: ttl * 2 / 5, Principal: "p",
	}, w))
	return (<-w).result.(*engine.Opened).Session
}

func (s *stage) session(id engine.SessionID) (info engine.SessionInfo, found bool) {
	s.replica.Read(func(e *engine.Engine) { info, found = e.Session(id) })
	return info, found
}

func (s *stage) over(id engine.SessionID) bool {
	info, found := s.session(id)
	return !found || info.State == engine.SessionExpired
}

func (s *stage) beat(id engine.SessionID) (lease.Verdict, error) {
	type answer struct {
		verdict lease.Verdict
		err     error
	}
	done := make(chan answer, 1)
	s.office.Current().Heartbeat([]engine.SessionID{id}, []tenure.HeartbeatDone{
		func(v lease.Verdict, err error) { done <- answer{v, err} },
	})
	a := <-done
	return a.verdict, a.err
}

func TestTenureBeginsWhenTakeOfficeIsApplied(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.hold(true)
		s.become(2, true)
		assert.Nil(t, s.office.Current(), "elected, and not in office")
		flight := s.hold(false)
		require.Len(t, flight, 1)
		s.commit(flight[0])
		require.NotNil(t, s.office.Current())
		assert.EqualValues(t, 2, s.office.Current().Term())
	})
}

// An entry in flight may be applied when the node is stopping already.
func TestTenureThatBeginsAfterTheEndIsOverAtOnce(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.hold(true)
		s.become(2, true)
		s.stop()
		flight := s.hold(false)
		require.Len(t, flight, 1)
		s.commit(flight[0])
		assert.Nil(t, s.office.Current())
		// The bubble fails the test if anything of the tenure still runs.
	})
}

// Rule U10: what was queued in one term may be committed in a later one.
func TestTakeOfficeCommittedInALaterTermBeginsNothing(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.hold(true)
		s.become(2, true)
		s.become(3, false)
		flight := s.hold(false)
		require.Len(t, flight, 1)
		s.commit(flight[0])
		assert.Nil(t, s.office.Current())
		s.become(4, true)
		assert.EqualValues(t, 4, s.office.Current().Term())
	})
}

func TestDecisionsOfAnEarlierTenureAreRefused(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.become(2, true)
		id := s.open(1)
		s.hold(true)
		s.pass(ttl / 4) // Silent is proposed
		synctest.Wait()
		flight := s.hold(false)
		require.Len(t, flight, 1)
		s.become(3, true)
		s.commit(flight[0])
		info, _ := s.session(id)
		assert.Zero(t, info.Silence, "observed in term 2, committed in term 3")
	})
}

func TestTheTermEndsTheTenure(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.become(2, true)
		id := s.open(1)
		old := s.office.Current()
		s.mu.Lock()
		s.term = 3 // and nobody has said so
		s.mu.Unlock()
		assert.False(t, old.Valid())
		assert.Nil(t, s.office.Current())
		done := make(chan error, 1)
		old.Heartbeat([]engine.SessionID{id}, []tenure.HeartbeatDone{func(_ lease.Verdict, err error) { done <- err }})
		require.Error(t, <-done, "a deposed leader acknowledges nothing")
		w := make(waiter, 1)
		if old.Submit(&engine.Tick{Term: 2}, w) == nil {
			require.ErrorIs(t, (<-w).err, propose.ErrOver)
		}
	})
}

func TestSessionExpiresATTLAfterItsLastHeartbeat(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.become(2, true)
		id := s.open(1)
		s.pass(3 * time.Second)
		verdict, err := s.beat(id)
		require.NoError(t, err)
		require.Equal(t, lease.Fine, verdict)
		s.pass(ttl - time.Millisecond)
		synctest.Wait()
		assert.False(t, s.over(id))
		s.pass(2 * time.Millisecond)
		synctest.Wait()
		assert.True(t, s.over(id))
		verdict, err = s.beat(id)
		require.NoError(t, err)
		assert.Equal(t, lease.Unknown, verdict)
	})
}

func TestNewTenureGivesATTLLessRecordedSilence(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.become(2, true)
		id := s.open(1)
		s.pass(6 * time.Second) // two steps of 2.5 s are in the log
		synctest.Wait()
		info, _ := s.session(id)
		require.Equal(t, 5*time.Second, info.Silence)
		s.become(3, true)
		s.pass(5*time.Second - time.Millisecond)
		synctest.Wait()
		assert.False(t, s.over(id))
		s.pass(2 * time.Millisecond)
		synctest.Wait()
		assert.True(t, s.over(id))
	})
}

func TestSilentSessionIsAcknowledgedOnlyAfterAlive(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.become(2, true)
		id := s.open(1)
		s.pass(3 * time.Second)
		synctest.Wait()
		s.hold(true)
		done := make(chan lease.Verdict, 1)
		s.office.Current().Heartbeat([]engine.SessionID{id}, []tenure.HeartbeatDone{func(v lease.Verdict, _ error) { done <- v }})
		s.pass(time.Second)
		synctest.Wait()
		require.Empty(t, done, "Alive is not in the log yet")
		for _, e := range s.hold(false) {
			s.commit(e)
		}
		assert.Equal(t, lease.Fine, <-done)
		info, _ := s.session(id)
		assert.Equal(t, engine.SessionAlive, info.State)
	})
}

func TestTicksComeWhenSomethingIsDue(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.become(2, true)
		id := s.open(1)
		w := make(waiter, 1)
		require.NoError(t, s.office.Current().Submit(&engine.Acquire{
			Request: engine.Request{Session: id, Incarnation: 1, Sequence: 1}, Owner: 1, Path: "/a", Mode: engine.Exclusive, Hold: 1500 * time.Millisecond,
		}, w))
		require.IsType(t, &engine.Granted{}, (<-w).result)
		before := s.replica.Index()
		s.pass(1100 * time.Millisecond)
		synctest.Wait()
		assert.Greater(t, s.replica.Index(), before, "at least one entry a second while a deadline is pending")
		held := func() bool {
			ok := false
			s.replica.Read(func(e *engine.Engine) { _, ok = e.FindGrant("/a", id, 1) })
			return ok
		}
		s.pass(399 * time.Millisecond)
		synctest.Wait()
		assert.True(t, held(), "never early")
		s.pass(2 * time.Millisecond)
		synctest.Wait()
		assert.False(t, held(), "promptly")
	})
}

func TestExpiryIsProposedAgainWhenRaftRefusesIt(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.become(2, true)
		id := s.open(1)
		s.pass(ttl - time.Second)
		synctest.Wait()
		s.refusing(raftwire.ErrNotLeader) // a transfer of leadership that will fail
		s.pass(2 * time.Second)
		synctest.Wait()
		require.False(t, s.over(id))
		s.refusing(nil)
		s.pass(200 * time.Millisecond)
		synctest.Wait()
		assert.True(t, s.over(id), "doomed sessions must not stay for ever")
	})
}

func TestTakeOfficeIsProposedAgainInTheSameTerm(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.refusing(raftwire.ErrNotLeader)
		s.become(2, true)
		require.Nil(t, s.office.Current())
		s.refusing(nil)
		s.pass(200 * time.Millisecond)
		synctest.Wait()
		assert.NotNil(t, s.office.Current())
	})
}

// The log clock goes on from the log, not from where it stood in an earlier
// tenure: a batch that such a one stamped must not take log time along.
func TestStampOfAnEarlierTenureDoesNotMoveLogTime(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.become(2, true)
		s.open(1)
		s.pass(time.Hour)
		s.hold(true)
		w := make(waiter, 1)
		require.NoError(t, s.office.Current().Submit(&engine.OpenSession{SecretHash: [32]byte{2}, TTL: ttl, Grace: ttl * 2 / 5, Principal: "p"}, w))
		synctest.Wait()
		flight := s.hold(false)
		var before engine.LogTime
		s.replica.Read(func(e *engine.Engine) { before = e.Time() })
		s.become(3, false)
		for _, e := range flight {
			s.commit(e)
		}
		s.replica.Read(func(e *engine.Engine) { assert.Equal(t, before, e.Time()) })
	})
}

// pass lets time pass.
func (s *stage) pass(d time.Duration) {
	s.t.Helper()
	<-system.Clocks().Mono.After(d)
	synctest.Wait()
}

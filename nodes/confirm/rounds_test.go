package confirm_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/nodes/confirm"
)

// electorate is a cluster whose answers the test gives by hand.
type electorate struct {
	term   uint64
	commit uint64
	voters []string

	mu    sync.Mutex
	asked []question
}

// count is safe beside rounds that the clock begins.
func (e *electorate) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.asked)
}

type question struct {
	node        string
	term, nonce uint64
}

func (e *electorate) Term() uint64        { return e.term }
func (e *electorate) Voters() []string    { return e.voters }
func (e *electorate) CommitIndex() uint64 { return e.commit }
func (e *electorate) Ask(node string, term, nonce uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, question{node, term, nonce})
}

type answers struct {
	served []uint64
	errs   []error
}

func (a *answers) done(index uint64, err error) {
	if err != nil {
		a.errs = append(a.errs, err)
		return
	}
	a.served = append(a.served, index)
}

func setUp(voters ...string) (*electorate, *confirm.Rounds, *clockwork.FakeClock) {
	return setUpWith(confirm.DefaultConfig(), voters...)
}

func setUpWith(cfg confirm.Config, voters ...string) (*electorate, *confirm.Rounds, *clockwork.FakeClock) {
	e := &electorate{term: 7, commit: 40, voters: voters}
	clock := clockwork.NewFakeClock()
	return e, confirm.New(cfg, "n1", 7, e, clock), clock
}

func TestMajorityServesWithTheCommitIndexOfItsBeginning(t *testing.T) {
	e, rounds, _ := setUp("n1", "n2", "n3")
	var a answers
	rounds.Confirm(true, a.done)
	e.commit = 50
	require.Len(t, e.asked, 2)
	assert.Empty(t, a.served)
	rounds.Answer("n2", 7, e.asked[0].nonce)
	assert.Equal(t, []uint64{40}, a.served)
	rounds.Answer("n3", 7, e.asked[0].nonce)
	assert.Len(t, a.served, 1)
}

func TestAnswerToAnEarlierRoundServesNoLaterRequest(t *testing.T) {
	e, rounds, _ := setUp("n1", "n2", "n3")
	var first, second answers
	rounds.Confirm(true, first.done)
	rounds.Confirm(true, second.done)
	rounds.Answer("n2", 7, e.asked[0].nonce)
	assert.Len(t, first.served, 1)
	assert.Empty(t, second.served, "it arrived after the round began")
	require.Len(t, e.asked, 4, "a round of its own begins")
	rounds.Answer("n3", 7, e.asked[0].nonce)
	assert.Empty(t, second.served, "the answer was given before the request arrived, for all we know")
	rounds.Answer("n3", 7, e.asked[2].nonce)
	assert.Len(t, second.served, 1)
}

func TestWhoDoesNotCount(t *testing.T) {
	e, rounds, _ := setUp("n1", "n2", "n3", "n4", "n5")
	var a answers
	rounds.Confirm(true, a.done)
	nonce := e.asked[0].nonce
	rounds.Answer("n2", 7, nonce)
	rounds.Answer("n2", 7, nonce)
	rounds.Answer("n9", 7, nonce)
	rounds.Answer("n3", 6, nonce)
	rounds.Answer("n3", 8, nonce)
	assert.Empty(t, a.served, "twice the same, a non-voter and other terms make no majority")
	rounds.Answer("n3", 7, nonce)
	assert.Len(t, a.served, 1)
}

func TestLeaderThatIsNoVoterDoesNotCountItself(t *testing.T) {
	e, rounds, _ := setUp("n2", "n3")
	var a answers
	rounds.Confirm(true, a.done)
	rounds.Answer("n2", 7, e.asked[0].nonce)
	assert.Empty(t, a.served)
	rounds.Answer("n3", 7, e.asked[0].nonce)
	assert.Len(t, a.served, 1)
}

func TestOwnTermMovedAtTheEnd(t *testing.T) {
	e, rounds, _ := setUp("n1", "n2", "n3")
	var a answers
	rounds.Confirm(true, a.done)
	e.term = 8
	rounds.Answer("n2", 7, e.asked[0].nonce)
	assert.Equal(t, []error{confirm.ErrOver}, a.errs)
	rounds.Confirm(true, a.done)
	assert.Len(t, a.errs, 2, "nothing is served by a tenure that is over")
}

func TestSingleVoterConfirmsItself(t *testing.T) {
	_, rounds, _ := setUp("n1")
	var a answers
	rounds.Confirm(true, a.done)
	assert.Len(t, a.served, 1)
}

func TestHeartbeatsWaitForCompany(t *testing.T) {
	e, rounds, clock := setUp("n1", "n2", "n3")
	var a answers
	rounds.Confirm(false, a.done)
	rounds.Confirm(false, a.done)
	assert.Zero(t, e.count())
	clock.Advance(50 * time.Millisecond)
	require.Eventually(t, func() bool { return e.count() == 2 }, 10*time.Second, time.Millisecond)
	rounds.Confirm(false, a.done)
	rounds.Answer("n2", 7, 1)
	require.Len(t, a.served, 2, "the third came after the round began")
}

func TestUrgentRequestTakesHeartbeatsAlong(t *testing.T) {
	e, rounds, _ := setUp("n1", "n2", "n3")
	var a answers
	rounds.Confirm(false, a.done)
	rounds.Confirm(true, a.done)
	require.Len(t, e.asked, 2)
	rounds.Answer("n3", 7, e.asked[0].nonce)
	assert.Len(t, a.served, 2)
}

func TestCommitServesWhoArrivedBeforeItWasHandedToRaft(t *testing.T) {
	_, rounds, _ := setUp("n1", "n2", "n3")
	var before, after answers
	rounds.Confirm(false, before.done)
	mark := rounds.Mark()
	rounds.Confirm(false, after.done)
	rounds.Committed(mark, 41)
	assert.Equal(t, []uint64{41}, before.served)
	assert.Empty(t, after.served)
}

func TestNoQuorumIsSaidAfterTheTimeoutAndAskedForAgainBefore(t *testing.T) {
	cfg := confirm.DefaultConfig()
	cfg.Timeout = 2 * time.Second
	e, rounds, clock := setUpWith(cfg, "n1", "n2", "n3")
	answered := make(chan error, 1)
	rounds.Confirm(true, func(_ uint64, err error) { answered <- err })
	for n := 2; n <= 14; n += 2 {
		clock.Advance(250 * time.Millisecond)
		require.Eventually(t, func() bool { return e.count() == n+2 }, 10*time.Second, time.Millisecond, "it is put again")
		require.NoError(t, clock.BlockUntilContext(t.Context(), 1), "the next timer is set after the questions are put")
	}
	clock.Advance(250 * time.Millisecond)
	require.ErrorIs(t, <-answered, confirm.ErrNoQuorum)
}

func TestLateAnswerOfAnEarlierRoundOfTheSameRequestCounts(t *testing.T) {
	e, rounds, clock := setUp("n1", "n2", "n3")
	served := make(chan uint64, 1)
	rounds.Confirm(true, func(index uint64, err error) {
		if err == nil {
			served <- index
		}
	})
	clock.Advance(250 * time.Millisecond)
	require.Eventually(t, func() bool { return e.count() == 4 }, 10*time.Second, time.Millisecond)
	rounds.Answer("n2", 7, 1)
	assert.Equal(t, uint64(40), <-served)
}

func TestCloseTellsEverybody(t *testing.T) {
	_, rounds, _ := setUp("n1", "n2", "n3")
	var a answers
	rounds.Confirm(true, a.done)
	rounds.Confirm(false, a.done)
	rounds.Close()
	rounds.Close()
	assert.Equal(t, []error{confirm.ErrOver, confirm.ErrOver}, a.errs)
}

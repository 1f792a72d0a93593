package propose_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/engine"
	"lockstep/nodes/propose"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/replica"
)

const term = 7

// log stands in for Raft: the test decides what becomes of each entry.
type log struct {
	entries chan *entry
	index   uint64
}

type entry struct {
	engine.Entry
	data   []byte
	settle func(response any, index, term uint64, err error)
}

func (l *log) Propose(data []byte) *raftwire.Proposal {
	p, settle := raftwire.NewProposal()
	decoded, err := replica.DecodeEntry(0, term, data)
	if err != nil {
		panic(err)
	}
	l.entries <- &entry{Entry: decoded, data: data, settle: settle}
	return p
}

// commit answers every command with Done at the entry's index.
func (l *log) commit(e *entry, inTerm uint64) {
	l.index++
	applied := &replica.Applied{Entry: e.Entry}
	for i := range e.Commands {
		applied.Outcome.Results = append(applied.Outcome.Results, &engine.Done{Position: engine.Position{Index: l.index, N: uint32(i + 1)}})
	}
	e.settle(applied, l.index, inTerm, nil)
}

// office is a tenure whose term and clock the test moves.
type office struct {
	mu        sync.Mutex
	over      bool
	now       engine.LogTime
	mark      uint64
	committed []uint64
}

func (o *office) Valid() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.over
}

func (o *office) Now() engine.LogTime {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now++
	return o.now
}

func (o *office) Mark() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mark++
	return o.mark
}

func (o *office) Committed(mark, _ uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.committed = append(o.committed, mark)
}

func (o *office) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
}

// answer is what became of a command.
type answer struct {
	result engine.Result
	err    error
}

type waiter chan answer

func (w waiter) Decided(r engine.Result) { w <- answer{result: r} }
func (w waiter) Failed(err error)        { w <- answer{err: err} }

func setUp(tb testing.TB, cfg propose.Config) (*propose.Proposer, *log, *office) {
	tb.Helper()
	return setUpOn(tb, cfg, clockwork.NewRealClock())
}

func setUpOn(tb testing.TB, cfg propose.Config, clock clockwork.Clock) (*propose.Proposer, *log, *office) {
	tb.Helper()
	l, o := &log{entries: make(chan *entry, 16)}, &office{}
	p := propose.New(cfg, l, o, term, clock)
	tb.Cleanup(p.Close)
	return p, l, o
}

func submit(tb testing.TB, p *propose.Proposer, n int) []waiter {
	tb.Helper()
	waiters := make([]waiter, n)
	for i := range waiters {
		waiters[i] = make(waiter, 1)
		require.NoError(tb, p.Submit(&engine.Tick{Term: uint64(i)}, waiters[i]))
	}
	return waiters
}

func TestWhatArrivesWhileAnEntryIsInFlightGoesIntoTheNext(t *testing.T) {
	p, l, o := setUp(t, propose.DefaultConfig())
	first := submit(t, p, 1)
	inFlight := <-l.entries
	stamp := inFlight.Time
	others := submit(t, p, 10)
	require.Empty(t, l.entries, "one entry in flight")
	l.commit(inFlight, term)
	assert.Equal(t, uint32(1), (<-first[0]).result.(*engine.Done).Position.N)
	next := <-l.entries
	require.Len(t, next.Commands, 10)
	assert.Greater(t, next.Time, stamp, "stamped when it was closed")
	l.commit(next, term)
	for i, w := range others {
		assert.Equal(t, uint32(i+1), (<-w).result.(*engine.Done).Position.N, "each gets its own answer")
	}
	assert.Equal(t, []uint64{1, 2}, o.committed, "marks were taken before the entries were handed over")
	assert.Equal(t, uint64(11), p.Stats().Commands)
}

func TestEntryWaitsForThoseWhoAnswerToTheLastOne(t *testing.T) {
	clock := clockwork.NewFakeClock()
	p, l, _ := setUpOn(t, propose.DefaultConfig(), clock)
	submit(t, p, 1)
	first := <-l.entries
	submit(t, p, 10)
	l.commit(first, term)
	second := <-l.entries
	require.Len(t, second.Commands, 10, "after an entry of one command nobody is waited for")
	late := submit(t, p, 3)
	l.commit(second, term)
	require.NoError(t, clock.BlockUntilContext(t.Context(), 1))
	require.Empty(t, l.entries, "three are there, ten more may come")
	submit(t, p, 10)
	third := <-l.entries
	require.Len(t, third.Commands, 13)
	l.commit(third, term)
	require.NotNil(t, (<-late[0]).result)

	require.NoError(t, clock.BlockUntilContext(t.Context(), 1))
	submit(t, p, 2)
	clock.Advance(propose.DefaultConfig().Company)
	require.Len(t, (<-l.entries).Commands, 2, "they did not come: it goes without them")
}

func TestEntriesAreBounded(t *testing.T) {
	for name, cfg := range map[string]propose.Config{
		"by commands": {Queue: 1000, BatchCommands: 16, BatchBytes: 1 << 20},
		"by bytes":    {Queue: 1000, BatchCommands: 1000, BatchBytes: 40},
	} {
		t.Run(name, func(t *testing.T) {
			p, l, _ := setUp(t, cfg)
			first := submit(t, p, 1)
			inFlight := <-l.entries
			waiters := append(first, submit(t, p, 100)...)
			l.commit(inFlight, term)
			for seen := 1; seen < 101; {
				e := <-l.entries
				require.LessOrEqual(t, len(e.Commands), 100)
				require.LessOrEqual(t, len(e.data), 200)
				for _, command := range e.Commands {
					require.Equal(t, uint64(seen-1), command.(*engine.Tick).Term, "in the order in which they came")
					seen++
				}
				l.commit(e, term)
			}
			for _, w := range waiters {
				require.NotNil(t, (<-w).result)
			}
		})
	}
}

func TestWhatIsKnownOfACommandThatWasNotCommitted(t *testing.T) {
	for name, c := range map[string]struct{ err, want error }{
		"Raft took nothing":     {raftwire.ErrNotLeader, propose.ErrOver},
		"too large":             {raftwire.ErrTooLarge, propose.ErrOver},
		"leadership lost":       {raftwire.ErrUnknownOutcome, propose.ErrUnknown},
		"something else":        {fmt.Errorf("surprise"), propose.ErrUnknown},
		"stopped in mid-flight": {fmt.Errorf("%w: %w", raftwire.ErrUnknownOutcome, raftwire.ErrStopped), propose.ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			p, l, o := setUp(t, propose.DefaultConfig())
			waiters := submit(t, p, 1)
			e := <-l.entries
			e.settle(nil, 0, 0, c.err)
			require.ErrorIs(t, (<-waiters[0]).err, c.want)
			assert.Empty(t, o.committed)
		})
	}
}

func TestCommitInALaterTermConfirmsNobody(t *testing.T) {
	p, l, o := setUp(t, propose.DefaultConfig())
	waiters := submit(t, p, 1)
	l.commit(<-l.entries, term+1)
	require.NotNil(t, (<-waiters[0]).result, "the log decided all the same")
	assert.Empty(t, o.committed, "it says nothing about this tenure")
}

func TestNothingIsHandedOverAfterTheTenure(t *testing.T) {
	p, l, o := setUp(t, propose.DefaultConfig())
	o.end()
	waiters := submit(t, p, 1)
	require.ErrorIs(t, (<-waiters[0]).err, propose.ErrOver)
	assert.Empty(t, l.entries)
}

func TestCloseTellsThoseWhoWait(t *testing.T) {
	p, l, _ := setUp(t, propose.DefaultConfig())
	inFlight := submit(t, p, 1)
	e := <-l.entries
	waiting := submit(t, p, 3)
	p.Close()
	require.ErrorIs(t, p.Submit(&engine.Tick{}, make(waiter, 1)), propose.ErrOver)
	require.ErrorIs(t, p.SubmitOwn(&engine.Tick{}, make(waiter, 1)), propose.ErrOver)
	e.settle(nil, 0, 0, raftwire.ErrUnknownOutcome)
	require.ErrorIs(t, (<-inFlight[0]).err, propose.ErrUnknown)
	for _, w := range waiting {
		require.ErrorIs(t, (<-w).err, propose.ErrOver)
	}
}

func TestFullQueueRefusesClientsAndNotTheService(t *testing.T) {
	cfg := propose.DefaultConfig()
	cfg.Queue = 2
	p, l, _ := setUp(t, cfg)
	submit(t, p, 1)
	e := <-l.entries
	submit(t, p, 2)
	require.ErrorIs(t, p.Submit(&engine.Tick{}, make(waiter, 1)), propose.ErrFull)
	require.NoError(t, p.SubmitOwn(&engine.Tick{Term: 99}, make(waiter, 1)))
	l.commit(e, term)
	assert.Len(t, (<-l.entries).Commands, 3)
}

func TestConfigIsChecked(t *testing.T) {
	require.NoError(t, propose.DefaultConfig().Validate())
	for name, cfg := range map[string]propose.Config{
		"nothing":           {},
		"too many commands": {Queue: 1, BatchCommands: engine.MaxBatchCommands + 1, BatchBytes: 1},
	} {
		t.Run(name, func(t *testing.T) { require.Error(t, cfg.Validate()) })
	}
}

// counter completes without anything else.
type counter struct{ group *sync.WaitGroup }

func (c counter) Decided(engine.Result) { c.group.Done() }
func (c counter) Failed(error)          { c.group.Done() }

func BenchmarkProposer(b *testing.B) {
	for _, together := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("together=%d", together), func(b *testing.B) {
			p, l, _ := setUp(b, propose.DefaultConfig())
			go func() {
				for e := range l.entries {
					l.commit(e, term)
				}
			}()
			command := &engine.Release{Request: engine.Request{Session: 1, Incarnation: 1, Sequence: 1}, Owner: 1, Path: "/orders/eu/42", Token: 1}
			var group sync.WaitGroup
			b.ReportAllocs()
			for i := 0; i < b.N; i += together {
				group.Add(together)
				for range together {
					if err := p.Submit(command, counter{&group}); err != nil {
						b.Fatal(err)
					}
				}
				group.Wait()
			}
		})
	}
}

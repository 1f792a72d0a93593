package propose

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"lockstep/engine"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/replica"
)

// Config bounds what waits and what one entry carries.
type Config struct {
	// Queue is how many commands may wait for the next entry.
	Queue int
	// BatchCommands is how many commands one entry carries, at most
	// engine.MaxBatchCommands.
	BatchCommands int
	// BatchBytes is the size after which an entry takes no more commands.
	BatchBytes int
	// Company is how long, after an entry of several commands, the next one waits
	// for as many to come again; 0: not at all.
	Company time.Duration
}

// DefaultConfig lets 16,384 commands wait and puts up to 1,024, or about 256 KiB,
// into an entry, after up to 0.5 ms of company.
func DefaultConfig() Config {
	return Config{Queue: 16384, BatchCommands: 1024, BatchBytes: 256 << 10, Company: 500 * time.Microsecond}
}

// Validate says which bound makes no sense.
func (c Config) Validate() error {
	if c.Queue < 1 || c.BatchCommands < 1 || c.BatchCommands > engine.MaxBatchCommands || c.BatchBytes < 1 {
		return fmt.Errorf("propose: queue %d, batch of %d commands and %d bytes: need at least 1 each and at most %d commands",
			c.Queue, c.BatchCommands, c.BatchBytes, engine.MaxBatchCommands)
	}
	if c.Company < 0 {
		return fmt.Errorf("propose: company of %v, negative", c.Company)
	}
	return nil
}

// Raft is what a Proposer hands entries to.
type Raft interface {
	Propose(data []byte) *raftwire.Proposal
}

// Office is the tenure that a Proposer works for.
type Office interface {
	// Valid tells whether the term has not moved.
	Valid() bool
	// Now is the log clock.
	Now() engine.LogTime
	// Mark is taken before an entry is handed to Raft, and Committed is called with
	// it when the entry was committed in the tenure's own term.
	Mark() uint64
	Committed(mark, index uint64)
}

// Completion is told once what became of a command. It is called on the
// proposer's goroutine and must not block.
type Completion interface {
	// Decided brings the log's answer.
	Decided(result engine.Result)
	// Failed brings ErrOver or ErrUnknown.
	Failed(err error)
}

// Stats counts what a Proposer did.
type Stats struct {
	Entries, Commands uint64
	// Waited is the time from an entry's closing until its results were known, summed.
	Waited time.Duration
}

type pending struct {
	command engine.Command
	done    Completion
}

// Proposer collects commands and keeps one entry in flight: hashicorp/raft syncs
// on its main loop, so more in flight would delay the commits of the first.
type Proposer struct {
	cfg    Config
	raft   Raft
	office Office
	term   uint64

	mu      sync.Mutex
	queue   []pending
	spare   []pending
	closed  bool
	wanted  int           // how many commands company waits for; 0: it does not
	enough  chan struct{} // holds one signal that so many have come
	arrived chan struct{} // holds one signal that the queue is not empty
	ended   chan struct{}
	stats   Stats
	clock   clockwork.Clock
}

// New starts the proposer of the tenure of term, on the monotonic clock.
func New(cfg Config, raft Raft, office Office, term uint64, clock clockwork.Clock) *Proposer {
	p := &Proposer{
		cfg: cfg, raft: raft, office: office, term: term, clock: clock,
		arrived: make(chan struct{}, 1), enough: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go p.run()
	return p
}

// Submit queues a command of a client. done is told what became of it unless an
// error is returned: ErrFull, or ErrOver after Close.
func (p *Proposer) Submit(command engine.Command, done Completion) error {
	return p.submit(command, done, p.cfg.Queue)
}

// SubmitOwn queues a command that no client asked for, behind what waits already
// but however much that is: a flood of requests must not keep sessions from
// expiring. There are at most a few such commands a session. The error is ErrOver.
func (p *Proposer) SubmitOwn(command engine.Command, done Completion) error {
	return p.submit(command, done, math.MaxInt)
}

func (p *Proposer) submit(command engine.Command, done Completion, limit int) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrOver
	}
	if len(p.queue) >= limit {
		p.mu.Unlock()
		return ErrFull
	}
	p.queue = append(p.queue, pending{command, done})
	first := len(p.queue) == 1
	enough := p.wanted > 0 && len(p.queue) >= p.wanted
	p.mu.Unlock()
	if first {
		signal(p.arrived)
	}
	if enough {
		signal(p.enough)
	}
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is there already
	}
}

// Close ends the proposer: what waits gets ErrOver, what is in flight whatever
// Raft says of it. It does not wait.
func (p *Proposer) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.ended)
	p.mu.Unlock()
}

// Stats are the counters so far.
func (p *Proposer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// entry is a batch on its way.
type entry struct {
	batch    []pending
	proposal *raftwire.Proposal
	mark     uint64
	closed   time.Time
}

// run tells the results of the entry in flight when it is decided, and proposes
// the next one with those who answer to that.
func (p *Proposer) run() {
	var buffer []engine.Command
	for {
		next, ok := p.take()
		if !ok {
			return
		}
		for flying := p.propose(next, &buffer); flying != nil; {
			response, index, err := flying.proposal.Wait()
			var following *entry
			if err == nil {
				p.settle(flying, index)
			}
			n := len(flying.batch)
			p.tell(flying, response, err)
			if err == nil {
				p.company(n)
				if batch := p.grab(); batch != nil {
					following = p.propose(batch, &buffer)
				}
			}
			flying = following
		}
	}
}

// take waits for commands; false: the proposer has ended.
func (p *Proposer) take() ([]pending, bool) {
	for {
		if batch := p.grab(); batch != nil {
			return batch, true
		}
		select {
		case <-p.arrived:
		case <-p.ended:
			for _, w := range p.drain() {
				w.done.Failed(ErrOver)
			}
			return nil, false
		}
	}
}

// grab takes what waits, up to a full entry; nil if nothing does.
func (p *Proposer) grab() []pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 || p.closed {
		return nil
	}
	if len(p.queue) <= p.cfg.BatchCommands {
		batch := p.queue
		p.queue, p.spare = p.spare[:0], nil
		return batch
	}
	batch := append([]pending(nil), p.queue[:p.cfg.BatchCommands]...)
	p.queue = append(p.queue[:0], p.queue[p.cfg.BatchCommands:]...)
	return batch
}

// giveBack puts commands that did not fit into an entry at the queue's head.
func (p *Proposer) giveBack(batch []pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(append([]pending(nil), batch...), p.queue...)
}

func (p *Proposer) drain() []pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := p.queue
	p.queue = nil
	return rest
}

// propose closes a batch, now that the last of its commands has arrived, stamps
// it and hands it to Raft; nil if the tenure is over.
func (p *Proposer) propose(batch []pending, buffer *[]engine.Command) *entry {
	if !p.office.Valid() {
		fail(batch, ErrOver)
		return nil
	}
	mark := p.office.Mark()
	commands := (*buffer)[:0]
	for _, w := range batch {
		commands = append(commands, w.command)
	}
	data := replica.AppendEntry(nil, p.term, engine.Batch{Time: p.office.Now(), Commands: commands})
	if fit := p.fitting(data, len(batch)); fit < len(batch) {
		p.giveBack(batch[fit:])
		batch, commands = batch[:fit], commands[:fit]
		data = replica.AppendEntry(data[:0], p.term, engine.Batch{Time: p.office.Now(), Commands: commands})
	}
	clear(commands)
	*buffer = commands
	return &entry{batch: batch, proposal: p.raft.Propose(data), mark: mark, closed: p.clock.Now()}
}

// fitting is how many of n commands, which take len(data) bytes together, make an
// entry of about the bound.
func (p *Proposer) fitting(data []byte, n int) int {
	if len(data) <= 2*p.cfg.BatchBytes {
		return n
	}
	return max(1, n*p.cfg.BatchBytes/len(data))
}

// settle says that an entry was committed, which confirms the leader to all who
// asked before it was handed to Raft.
func (p *Proposer) settle(e *entry, index uint64) {
	if e.proposal.Term() == p.term {
		p.office.Committed(e.mark, index)
	}
	p.mu.Lock()
	p.stats.Entries++
	p.stats.Commands += uint64(len(e.batch))
	p.stats.Waited += p.clock.Now().Sub(e.closed)
	p.mu.Unlock()
}

// tell hands the results out.
func (p *Proposer) tell(e *entry, response any, err error) {
	switch {
	case err == nil:
		applied := response.(*replica.Applied)
		for i, w := range e.batch {
			w.done.Decided(applied.Outcome.Results[i])
		}
	case errors.Is(err, raftwire.ErrNotLeader), errors.Is(err, raftwire.ErrTooLarge):
		fail(e.batch, ErrOver)
	default:
		fail(e.batch, ErrUnknown)
	}
	clear(e.batch)
	p.mu.Lock()
	if p.spare == nil {
		p.spare = e.batch[:0]
	}
	p.mu.Unlock()
}

func fail(batch []pending, err error) {
	for _, w := range batch {
		w.done.Failed(err)
	}
}

package confirm

import (
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// Config says how patient rounds are.
type Config struct {
	// Company is how long a round that carries only heartbeats waits for more; 0: not at all.
	Company time.Duration
	// Again is how long after a round began another one begins if it has no majority yet.
	Again time.Duration
	// Timeout is how long a request may wait for a round; then it gets ErrNoQuorum.
	Timeout time.Duration
	// Queue is how many requests may wait; then they get ErrFull.
	Queue int
}

// DefaultConfig waits up to 50 ms for company, asks again after 250 ms, gives up
// after 750 ms, and lets 65,536 requests wait.
func DefaultConfig() Config {
	return Config{Company: 50 * time.Millisecond, Again: 250 * time.Millisecond, Timeout: 750 * time.Millisecond, Queue: 65536}
}

// Electorate is what rounds ask and whom.
type Electorate interface {
	// Term is this node's current, durable term.
	Term() uint64
	// Voters are the voters' ids in the latest configuration, committed or not.
	Voters() []string
	// CommitIndex is up to where this node knows the log to be committed.
	CommitIndex() uint64
	// Ask asks node for its term; the answer goes to Rounds.Answer. It must not
	// block; a question that cannot be sent may be dropped.
	Ask(node string, term, nonce uint64)
}

// Done is told how a request fared: nil and the commit index noted when the round
// began, or ErrOver, ErrNoQuorum or ErrFull. It is called without locks held, once.
type Done func(readIndex uint64, err error)

// Rounds are the confirmation rounds of one tenure. All methods may be called
// from any goroutine.
type Rounds struct {
	cfg   Config
	self  string
	term  uint64
	with  Electorate
	clock clockwork.Clock

	mu      sync.Mutex
	over    bool
	arrived uint64 // requests so far: each has its number
	waiting []request
	running []*round
	nonce   uint64
	urgent  bool // some waiting request is not a heartbeat
	timer   clockwork.Timer
}

// request waits for a round that began after it arrived.
type request struct {
	number uint64
	since  time.Time
	done   Done
}

// round is a question put to the voters at one moment.
type round struct {
	nonce uint64
	// through is the number of the last request that had arrived when it began.
	through   uint64
	readIndex uint64
	began     time.Time
	voters    map[string]bool // whether the voter has answered
	yes       int
}

// New returns the rounds of the tenure of term, by the node self.
func New(cfg Config, self string, term uint64, with Electorate, clock clockwork.Clock) *Rounds {
	return &Rounds{cfg: cfg, self: self, term: term, with: with, clock: clock}
}

// Confirm calls done once a round has succeeded that began after this call. A
// heartbeat (not urgent) may wait a little for company.
func (r *Rounds) Confirm(urgent bool, done Done) {
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		done(0, ErrOver)
		return
	}
	if len(r.waiting) >= r.cfg.Queue {
		r.mu.Unlock()
		done(0, ErrFull)
		return
	}
	r.arrived++
	r.waiting = append(r.waiting, request{number: r.arrived, since: r.clock.Now(), done: done})
	r.urgent = r.urgent || urgent
	var fire []func()
	if r.urgent && len(r.running) == 0 {
		fire = r.beginLocked()
	} else {
		r.scheduleLocked()
	}
	r.mu.Unlock()
	call(fire)
}

// Mark is the number of the last request that has arrived: see Committed.
func (r *Rounds) Mark() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrived
}

// Committed says that an entry of this term, handed to Raft after mark was
// taken, is committed at index: that proves as much as a round which began then.
func (r *Rounds) Committed(mark, index uint64) {
	r.mu.Lock()
	var fire []func()
	if !r.over && r.with.Term() == r.term {
		fire = r.serveLocked(mark, index)
	}
	r.mu.Unlock()
	call(fire)
}

// Answer takes a voter's answer: its term, read after the question arrived there.
func (r *Rounds) Answer(node string, term, nonce uint64) {
	r.mu.Lock()
	fire := r.answerLocked(node, term, nonce)
	r.mu.Unlock()
	call(fire)
}

func (r *Rounds) answerLocked(node string, term, nonce uint64) []func() {
	if r.over || term != r.term {
		return nil // a higher term reaches Raft by its own way
	}
	for _, round := range r.running {
		if round.nonce != nonce {
			continue
		}
		answered, voter := round.voters[node]
		if !voter || answered {
			return nil
		}
		round.voters[node] = true
		round.yes++
		return r.countLocked(round)
	}
	return nil
}

// Close ends the tenure's rounds: everybody who waits gets ErrOver.
func (r *Rounds) Close() {
	r.mu.Lock()
	fire := r.closeLocked()
	r.mu.Unlock()
	call(fire)
}

func (r *Rounds) closeLocked() []func() {
	if r.over {
		return nil
	}
	r.over = true
	if r.timer != nil {
		r.timer.Stop()
	}
	waiting := r.waiting
	r.waiting, r.running = nil, nil
	return refusals(waiting, ErrOver)
}

// beginLocked starts a round for all who wait.
func (r *Rounds) beginLocked() []func() {
	if r.with.Term() != r.term {
		return r.closeLocked()
	}
	r.nonce++
	voters := r.with.Voters()
	next := &round{
		nonce: r.nonce, through: r.arrived, readIndex: r.with.CommitIndex(), began: r.clock.Now(),
		voters: make(map[string]bool, len(voters)),
	}
	for _, v := range voters {
		next.voters[v] = false
	}
	r.running = append(r.running, next)
	r.urgent = false
	for _, v := range voters {
		if v != r.self {
			r.with.Ask(v, r.term, next.nonce)
		}
	}
	r.scheduleLocked()
	if _, voter := next.voters[r.self]; voter {
		next.voters[r.self] = true
		next.yes++
		return r.countLocked(next)
	}
	return nil
}

// countLocked serves the round's requests if it has a majority and this node's
// own term is still the same at the end.
func (r *Rounds) countLocked(won *round) []func() {
	if won.yes*2 <= len(won.voters) {
		return nil
	}
	if r.with.Term() != r.term {
		return r.closeLocked()
	}
	return r.serveLocked(won.through, won.readIndex)
}

// serveLocked answers all requests up to number through, and begins the next
// round if others wait by now.
func (r *Rounds) serveLocked(through, readIndex uint64) []func() {
	var fire []func()
	for len(r.waiting) > 0 && r.waiting[0].number <= through {
		done := r.waiting[0].done
		r.waiting[0] = request{}
		r.waiting = r.waiting[1:]
		fire = append(fire, func() { done(readIndex, nil) })
	}
	kept := r.running[:0]
	for _, round := range r.running {
		if round.through > through {
			kept = append(kept, round)
		}
	}
	clear(r.running[len(kept):])
	r.running = kept
	if len(r.waiting) == 0 {
		r.waiting = nil
	}
	if r.urgent && len(r.running) == 0 && len(r.waiting) > 0 {
		return append(fire, r.beginLocked()...)
	}
	r.scheduleLocked()
	return fire
}

// scheduleLocked sets the timer for what comes next: a round for heartbeats that
// waited for company long enough, another attempt, or giving up.
func (r *Rounds) scheduleLocked() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.over || len(r.waiting) == 0 {
		return
	}
	now := r.clock.Now()
	wait := r.waiting[0].since.Add(r.cfg.Timeout).Sub(now)
	if len(r.running) == 0 {
		wait = min(wait, r.waiting[0].since.Add(r.cfg.Company).Sub(now))
	} else {
		wait = min(wait, r.running[len(r.running)-1].began.Add(r.cfg.Again).Sub(now))
	}
	r.timer = r.clock.AfterFunc(max(wait, 0), r.tick)
}

func (r *Rounds) tick() {
	r.mu.Lock()
	fire := r.tickLocked()
	r.mu.Unlock()
	call(fire)
}

func (r *Rounds) tickLocked() []func() {
	if r.over {
		return nil
	}
	now := r.clock.Now()
	var late []request
	for len(r.waiting) > 0 && now.Sub(r.waiting[0].since) >= r.cfg.Timeout {
		late = append(late, r.waiting[0])
		r.waiting = r.waiting[1:]
	}
	fire := refusals(late, ErrNoQuorum)
	if len(r.waiting) == 0 {
		r.waiting, r.running = nil, nil
		return fire
	}
	begin := len(r.running) == 0 && now.Sub(r.waiting[0].since) >= r.cfg.Company ||
		len(r.running) > 0 && now.Sub(r.running[len(r.running)-1].began) >= r.cfg.Again
	if begin {
		return append(fire, r.beginLocked()...)
	}
	r.scheduleLocked()
	return fire
}

func refusals(waiting []request, err error) []func() {
	fire := make([]func(), 0, len(waiting))
	for _, w := range waiting {
		fire = append(fire, func() { w.done(0, err) })
	}
	return fire
}

func call(fire []func()) {
	for _, f := range fire {
		f()
	}
}

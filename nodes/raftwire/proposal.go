package raftwire

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// Proposal is an entry on its way. All methods may be called from any goroutine.
type Proposal struct {
	done chan struct{}

	once     sync.Once
	response any
	index    uint64
	term     uint64
	err      error
}

// NewProposal returns a proposal and what settles it: for who stands in for Raft.
func NewProposal() (p *Proposal, settle func(response any, index, term uint64, err error)) {
	p = &Proposal{done: make(chan struct{})}
	return p, p.settle
}

// Propose hands data to Raft as one entry; data must not be changed afterwards.
// It blocks until Raft's main loop takes it. Entries of one goroutine keep their
// order.
func (r *Raft) Propose(data []byte) *Proposal {
	p, _ := NewProposal()
	if len(data) > r.cfg.MaxEntry {
		p.settle(nil, 0, 0, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(data), r.cfg.MaxEntry))
		return p
	}
	if !r.pending.add(p) {
		p.settle(nil, 0, 0, fmt.Errorf("%w: %w", ErrNotLeader, ErrStopped))
		return p
	}
	r.counts.proposals.Add(1)
	future := r.raft.ApplyLog(raft.Log{Data: data}, 0 /* no timeout */)
	go r.await(p, future)
	return p
}

// await settles p when Raft has answered. After a shutdown Raft may never answer:
// then Shutdown settles p, and this goroutine stays until the process ends.
func (r *Raft) await(p *Proposal, future raft.ApplyFuture) {
	err := future.Error()
	r.transfers.note(errors.Is(err, raft.ErrLeadershipTransferInProgress))
	r.pending.remove(p)
	if err != nil {
		r.counts.refused.Add(1)
		p.settle(nil, 0, 0, proposalError(err))
		return
	}
	answer := future.Response().(applied)
	p.settle(answer.response, future.Index(), answer.term, nil)
}

// proposalError tells what certainly is not in the log from what may be.
func proposalError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return ErrNotLeader
	case errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: the leadership is being transferred", ErrNotLeader)
	default:
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
}

func (p *Proposal) settle(response any, index, term uint64, err error) {
	p.once.Do(func() {
		p.response, p.index, p.term, p.err = response, index, term, err
		close(p.done)
	})
}

// Done is closed when Wait no longer blocks.
func (p *Proposal) Done() <-chan struct{} { return p.done }

// Wait returns what Machine.Apply returned and the entry's index, or ErrNotLeader
// (it certainly is not in the log and never will be), ErrTooLarge (the same), or
// ErrUnknownOutcome. It may be called many times.
func (p *Proposal) Wait() (response any, index uint64, err error) {
	<-p.done
	return p.response, p.index, p.err
}

// Term is the term that the entry got in the log, once Wait has returned no
// error; it may be a later one than when it was proposed.
func (p *Proposal) Term() uint64 {
	<-p.done
	return p.term
}

// pending are the proposals that Raft has not answered.
type pending struct {
	mu     sync.Mutex
	closed bool
	all    map[*Proposal]struct{}
}

func (p *pending) add(one *Proposal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if p.all == nil {
		p.all = make(map[*Proposal]struct{})
	}
	p.all[one] = struct{}{}
	return true
}

func (p *pending) remove(one *Proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, one)
}

func (p *pending) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for one := range p.all {
		one.settle(nil, 0, 0, fmt.Errorf("%w: %w", ErrUnknownOutcome, ErrStopped))
	}
	p.all = nil
}

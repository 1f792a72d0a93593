package raftwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/jonboulle/clockwork"
)

// gate hands requests of other nodes to Raft and waits for the answers. Ordinary
// requests pass side by side; an installation passes alone (rule U9), so that
// what it was checked against is still true when Raft acts on it.
type gate struct {
	consumer  chan raft.RPC
	log       *logStore
	snapshots *snapshotStore
	stable    *stableStore
	guard     *guard
	clock     clockwork.Clock
	patience  patience

	// passing is held for reading by ordinary requests from the moment they are
	// handed to Raft until it has answered, for writing by an installation.
	passing sync.RWMutex
	repeats repeats
}

// patience is how long requests wait for Raft to take them: as long as who sent
// them waits for the answer. A node whose Raft is stuck, in a write or an
// installation, is not to collect requests that nobody wants answered any more,
// and to act on them all when it goes on.
type patience struct{ call, appends, install time.Duration }

func (p patience) of(request any) time.Duration {
	if a, ok := request.(*raft.AppendEntriesRequest); ok && !isHeartbeat(a) {
		return p.appends
	}
	return p.call
}

// errLate is what a request ends with that waited too long; its stream is reset.
var errLate = errors.New("raftwire: Raft did not take the request in time")

// pass hands an ordinary request to Raft. answers is a buffered channel that
// nobody else uses. ctx is the stream's: a request whose stream has gone before
// Raft took it is dropped.
func (g *gate) pass(ctx context.Context, request any, answers chan raft.RPCResponse) (raft.RPCResponse, error) {
	until := g.clock.Now().Add(g.patience.of(request))
	g.passing.RLock()
	defer g.passing.RUnlock()
	a, isAppend := request.(*raft.AppendEntriesRequest)
	var proven uint64
	if isAppend {
		proven = a.PrevLogEntry + uint64(len(a.Entries))
		g.trim(a)
	}
	answer, err := g.hand(ctx, until, raft.RPC{Command: request, RespChan: answers}, answers)
	if isAppend && err == nil {
		if r, ok := answer.Response.(*raft.AppendEntriesResponse); ok && r.Success {
			g.repeats.progress(proven)
		}
	}
	return answer, err
}

func (g *gate) hand(ctx context.Context, until time.Time, rpc raft.RPC, answers chan raft.RPCResponse) (raft.RPCResponse, error) {
	left := until.Sub(g.clock.Now())
	if left <= 0 {
		return raft.RPCResponse{}, errLate
	}
	select {
	case g.consumer <- rpc:
	default:
		if err := g.queue(ctx, left, rpc); err != nil {
			return raft.RPCResponse{}, err
		}
	}
	// Raft has it and may act on it: the gate stays taken until it has answered,
	// whether or not anybody wants to know.
	return <-answers, nil
}

// queue waits until Raft takes the request.
func (g *gate) queue(ctx context.Context, left time.Duration, rpc raft.RPC) error {
	timer := g.clock.NewTimer(left)
	defer timer.Stop()
	select {
	case g.consumer <- rpc:
		return nil
	case <-timer.Chan():
		return errLate
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// trim takes off what the newest snapshot covers. Raft looks the previous entry
// up in its log and refuses the request if it is not there, although a snapshot
// may prove it; the leader then goes back, sends the snapshot again, which is
// refused as not newer, and so on for ever. All that a snapshot covers is
// committed, so any leader that Raft does not refuse for its term has the same.
func (g *gate) trim(a *raft.AppendEntriesRequest) {
	newest := g.snapshots.newest()
	if newest.index == 0 || a.PrevLogEntry > newest.index || a.PrevLogEntry+uint64(len(a.Entries)) == 0 {
		return
	}
	if first, _ := g.log.FirstIndex(); first != 0 && first <= a.PrevLogEntry {
		return
	}
	covered := newest.index - a.PrevLogEntry
	switch {
	case covered == 0 && a.PrevLogTerm != newest.term:
		return
	case covered > 0 && covered <= uint64(len(a.Entries)) && a.Entries[covered-1].Term != newest.term:
		return
	}
	a.Entries = a.Entries[min(covered, uint64(len(a.Entries))):]
	a.PrevLogEntry, a.PrevLogTerm = 0, 0
}

// install hands an installation to Raft, unless the node has all that is in it:
// then the data is read and thrown away, and the answer is success.
func (g *gate) install(ctx context.Context, request *raft.InstallSnapshotRequest, data io.Reader) (answer raft.RPCResponse, drained bool, err error) {
	until := g.clock.Now().Add(g.patience.install)
	g.passing.Lock()
	defer g.passing.Unlock()
	at := position{request.LastLogIndex, request.LastLogTerm}
	term, _ := g.stable.GetUint64([]byte(keyCurrentTerm))
	// Raft itself refuses the past.
	if request.Term >= term && g.holds(at) {
		if _, err := io.Copy(io.Discard, data); err != nil {
			return raft.RPCResponse{}, true, fmt.Errorf("raftwire: dropping a snapshot: %w", err)
		}
		g.noteInstall(at)
		return raft.RPCResponse{Response: &raft.InstallSnapshotResponse{Term: term, Success: true}}, true, nil
	}
	answers := make(chan raft.RPCResponse, 1)
	answer, err = g.hand(ctx, until, raft.RPC{Command: request, Reader: data, RespChan: answers}, answers)
	if r, ok := answer.Response.(*raft.InstallSnapshotResponse); ok && err == nil && r.Success {
		g.noteInstall(at)
	}
	return answer, false, err
}

// holds tells whether the node has everything up to at: as a snapshot at least as
// new, or as that very entry in its log, which proves all before it.
func (g *gate) holds(at position) bool {
	if g.snapshots.newest().index >= at.index {
		return true
	}
	term, ok := g.log.term(at.index)
	return ok && term == at.term
}

func (g *gate) noteInstall(at position) {
	if g.repeats.arrived(at) {
		g.guard.fatal("the snapshot at %d has arrived %d times and no entry after it was accepted: Raft remembers "+
			"entries that conflict with it; the restart will delete them", at.index, g.repeats.bound)
	}
}

// repeats finds the endless installation of rule U4.
type repeats struct {
	bound int

	mu    sync.Mutex
	at    position
	count int
}

// arrived tells whether the same snapshot has come too often.
func (r *repeats) arrived(at position) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at != r.at {
		r.at, r.count = at, 0
	}
	r.count++
	return r.count >= r.bound
}

// progress notes that everything up to index was found equal to the leader's log.
func (r *repeats) progress(index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count > 0 && index >= r.at.index {
		r.count = 0
	}
}

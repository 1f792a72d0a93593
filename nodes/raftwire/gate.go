package raftwire

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
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

	// passing is held for reading by ordinary requests from the moment they are
	// handed to Raft until it has answered, for writing by an installation.
	passing sync.RWMutex
	repeats repeats
}

// pass hands an ordinary request to Raft. answers is a buffered channel that
// nobody else uses. ctx is the stream's: a request whose stream has gone before
// Raft took it is dropped.
func (g *gate) pass(ctx context.Context, request any, answers chan raft.RPCResponse) (raft.RPCResponse, error) {
	g.passing.RLock()
	defer g.passing.RUnlock()
	a, isAppend := request.(*raft.AppendEntriesRequest)
	var proven uint64
	if isAppend {
		proven = a.PrevLogEntry + uint64(len(a.Entries))
		g.trim(a)
	}
	answer, err := g.hand(ctx, raft.RPC{Command: request, RespChan: answers}, answers)
	if isAppend && err == nil {
		if r, ok := answer.Response.(*raft.AppendEntriesResponse); ok && r.Success {
			g.repeats.progress(proven)
		}
	}
	return answer, err
}

func (g *gate) hand(ctx context.Context, rpc raft.RPC, answers chan raft.RPCResponse) (raft.RPCResponse, error) {
	select {
	case g.consumer <- rpc:
	case <-ctx.Done():
		return raft.RPCResponse{}, context.Cause(ctx)
	}
	// Raft has it and may act on it: the gate stays taken until it has answered,
	// whether or not anybody wants to know.
	return <-answers, nil
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
	answer, err = g.hand(ctx, raft.RPC{Command: request, Reader: data, RespChan: answers}, answers)
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

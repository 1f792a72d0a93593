package raftwire

import "github.com/hashicorp/raft"

// Stats is a picture of a Raft node; it is not taken at one instant.
type Stats struct {
	State                 State
	Term                  uint64
	FirstIndex, LastIndex uint64
	CommitIndex           uint64
	AppliedIndex          uint64
	SnapshotIndex         uint64
	SnapshotTerm          uint64
	// Proposals counts entries handed to Raft, Refused those without an outcome
	// or without effect.
	Proposals, Refused uint64
	// Installs counts snapshots that other nodes sent, InstallsDrained those of
	// them that were not needed.
	Installs, InstallsDrained uint64
	// LogWrites counts writes of one or more entries, LogBytes what they wrote,
	// LogWriteNanos what they took.
	LogWrites, LogBytes, LogWriteNanos uint64
	// StableWrites counts writes of term and vote.
	StableWrites uint64
	// CacheHits and CacheMisses count reads of entries.
	CacheHits, CacheMisses uint64
	// CallsSent and CallsServed count requests to and from other nodes.
	CallsSent, CallsServed uint64
	// Garbage counts streams of other nodes that were closed for what they carried.
	Garbage uint64
}

// Stats are the node's counters and positions. It reads the bounds of the log.
func (r *Raft) Stats() Stats {
	first, _ := r.log.FirstIndex()
	newest := r.snapshots.newest()
	return Stats{
		State:           stateOf(r.raft.State()),
		Term:            r.Term(),
		FirstIndex:      first,
		LastIndex:       r.raft.LastIndex(),
		CommitIndex:     r.CommitIndex(),
		AppliedIndex:    r.fsm.applied.Load(),
		SnapshotIndex:   newest.index,
		SnapshotTerm:    newest.term,
		Proposals:       r.counts.proposals.Load(),
		Refused:         r.counts.refused.Load(),
		Installs:        r.transport.counts.installs.Load(),
		InstallsDrained: r.transport.counts.drained.Load(),
		LogWrites:       r.log.writes.Load(),
		LogBytes:        r.log.bytes.Load(),
		LogWriteNanos:   r.log.nanos.Load(),
		StableWrites:    r.stable.writeCount(),
		CacheHits:       r.log.hits.Load(),
		CacheMisses:     r.log.misses.Load(),
		CallsSent:       r.transport.counts.sent.Load(),
		CallsServed:     r.transport.counts.served.Load(),
		Garbage:         r.transport.counts.garbage.Load(),
	}
}

func stateOf(s raft.RaftState) State {
	switch s {
	case raft.Follower:
		return Follower
	case raft.Candidate:
		return Candidate
	case raft.Leader:
		return Leader
	case raft.Shutdown:
		return Stopped
	}
	return Stopped
}

// State is the node's role in Raft.
type State uint8

const (
	// Follower follows a leader or waits for one.
	Follower State = 1
	// Candidate asks for votes.
	Candidate State = 2
	// Leader leads, as far as it knows.
	Leader State = 3
	// Stopped has been shut down.
	Stopped State = 4
)

// String is the state's name in lower case.
func (s State) String() string {
	switch s {
	case Follower:
		return "follower"
	case Candidate:
		return "candidate"
	case Leader:
		return "leader"
	case Stopped:
		return "stopped"
	}
	return "unknown"
}

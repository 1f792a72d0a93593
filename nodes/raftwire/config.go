package raftwire

import (
	"errors"
	"fmt"
	"time"
)

// Config is what a Raft node needs to know. Start from DefaultConfig.
type Config struct {
	// Node is this node's id, Address where others reach it.
	Node, Address string
	// HeartbeatTimeout is how long a follower is without a leader before it stands
	// for election; heartbeats are sent about ten times as often.
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits; at least HeartbeatTimeout.
	ElectionTimeout time.Duration
	// LeaderLease is how long a leader without a quorum goes on; at most
	// HeartbeatTimeout. No safety hangs on it.
	LeaderLease time.Duration
	// CommitTimeout is how long followers hear of a commit later, if nothing else
	// is sent: up to twice this.
	CommitTimeout time.Duration
	// MaxAppendEntries is how many entries one request carries, 1 to 1024.
	MaxAppendEntries int
	// MaxEntry is the largest entry, in bytes. MaxAppendEntries of them must fit
	// into one frame.
	MaxEntry int
	// SnapshotThreshold is how many entries since the last snapshot make a new one
	// worth while; SnapshotInterval how often that is looked at.
	SnapshotThreshold uint64
	SnapshotInterval  time.Duration
	// TrailingLogs is how many entries before a snapshot are kept for followers
	// that are a little behind; at least 1.
	TrailingLogs uint64
	// CallTimeout bounds votes and heartbeats, AppendTimeout appends, ChunkTimeout
	// each piece of a snapshot.
	CallTimeout, AppendTimeout, ChunkTimeout time.Duration
	// WriteDeadline is how long a write to a store may take; then the node halts.
	WriteDeadline time.Duration
	// TransferBound is how long proposals may be refused because of a leadership
	// transfer before the node halts.
	TransferBound time.Duration
	// MaxInstalls is how often the same snapshot may arrive, without an entry after
	// it being accepted, before the node halts.
	MaxInstalls int
}

// DefaultConfig returns a Config in which Node and Address are missing.
func DefaultConfig() Config {
	return Config{
		HeartbeatTimeout:  750 * time.Millisecond,
		ElectionTimeout:   750 * time.Millisecond,
		LeaderLease:       750 * time.Millisecond,
		CommitTimeout:     25 * time.Millisecond,
		MaxAppendEntries:  32,
		MaxEntry:          1 << 20,
		SnapshotThreshold: 16384,
		SnapshotInterval:  30 * time.Second,
		TrailingLogs:      8192,
		CallTimeout:       2 * time.Second,
		AppendTimeout:     10 * time.Second,
		ChunkTimeout:      10 * time.Second,
		WriteDeadline:     10 * time.Second,
		TransferBound:     15 * time.Second,
		MaxInstalls:       8,
	}
}

// Validate says which field makes no sense, and why.
func (c Config) Validate() error {
	var problems []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("raftwire: "+format, args...))
		}
	}
	refuse(c.Node == "", "Node is empty")
	refuse(c.Address == "", "Address is empty")
	return errors.Join(problems...)
}

package raftwire

import (
	"errors"
	"fmt"
	"time"

	"lockstep/transport"
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
	// RestoreTimeout bounds how long a node takes to restore a snapshot it was sent.
	RestoreTimeout time.Duration
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
		RestoreTimeout:    time.Minute,
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
	refuse(c.HeartbeatTimeout < minTimeout, "HeartbeatTimeout %v is below %v", c.HeartbeatTimeout, minTimeout)
	refuse(c.ElectionTimeout < c.HeartbeatTimeout, "ElectionTimeout %v is below HeartbeatTimeout %v", c.ElectionTimeout, c.HeartbeatTimeout)
	refuse(c.LeaderLease < minTimeout, "LeaderLease %v is below %v", c.LeaderLease, minTimeout)
	refuse(c.LeaderLease > c.HeartbeatTimeout, "LeaderLease %v is above HeartbeatTimeout %v", c.LeaderLease, c.HeartbeatTimeout)
	refuse(c.CommitTimeout < time.Millisecond, "CommitTimeout %v is below 1ms", c.CommitTimeout)
	refuse(c.MaxAppendEntries < 1 || c.MaxAppendEntries > maxEntries, "MaxAppendEntries %d is not within 1..%d", c.MaxAppendEntries, maxEntries)
	refuse(c.MaxEntry < 1, "MaxEntry %d is below 1", c.MaxEntry)
	refuse(c.MaxAppendEntries*(c.MaxEntry+entryOverhead)+entryOverhead > transport.MaxFrame,
		"MaxAppendEntries %d times MaxEntry %d does not fit into a frame of %d bytes", c.MaxAppendEntries, c.MaxEntry, transport.MaxFrame)
	refuse(c.SnapshotThreshold < 1, "SnapshotThreshold is 0")
	refuse(c.SnapshotInterval < minTimeout, "SnapshotInterval %v is below %v", c.SnapshotInterval, minTimeout)
	refuse(c.TrailingLogs < 1, "TrailingLogs is 0: the entry at a snapshot's end must stay")
	refuse(c.CallTimeout <= 0, "CallTimeout %v is not positive", c.CallTimeout)
	refuse(c.AppendTimeout <= 0, "AppendTimeout %v is not positive", c.AppendTimeout)
	refuse(c.ChunkTimeout <= 0, "ChunkTimeout %v is not positive", c.ChunkTimeout)
	refuse(c.RestoreTimeout <= 0, "RestoreTimeout %v is not positive", c.RestoreTimeout)
	refuse(c.WriteDeadline <= 0, "WriteDeadline %v is not positive", c.WriteDeadline)
	refuse(c.TransferBound < 2*c.ElectionTimeout+c.CallTimeout,
		"TransferBound %v is below two ElectionTimeouts and a CallTimeout, which a transfer may take", c.TransferBound)
	refuse(c.MaxInstalls < 2, "MaxInstalls %d is below 2", c.MaxInstalls)
	return errors.Join(problems...)
}

package engine

import (
	"fmt"

	"lockstep/engine/lease"
)

// SessionID names a session within a lineage. It comes from a counter in the
// state, starts at 1 and is never reused.
type SessionID uint64

// OwnerID names an owner within its session; the client chooses it, from 1.
type OwnerID uint64

// WaiterID names a queued request within a lineage; from a counter, from 1.
type WaiterID uint64

// Token rises with every grant of the partition, from 1, and is never reused.
type Token uint64

// LogTime is time as the log counts it, in nanoseconds: the maximum of the
// stamps seen so far. It never runs backwards and stands still without a leader.
type LogTime = lease.LogTime

// Position is a place in the log: the entry's Raft index and the number of the
// event within the entry, from 1. The zero Position precedes everything.
type Position struct {
	Index uint64
	N     uint32
}

// Compare returns -1, 0 or +1 as p stands before, at or after q.
func (p Position) Compare(q Position) int {
	switch {
	case p.Index < q.Index || p.Index == q.Index && p.N < q.N:
		return -1
	case p == q:
		return 0
	default:
		return 1
	}
}

// String prints a position as index.n.
func (p Position) String() string { return fmt.Sprintf("%d.%d", p.Index, p.N) }

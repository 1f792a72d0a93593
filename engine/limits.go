package engine

import (
	"fmt"
	"time"

	"lockstep/engine/lease"
)

// What is bounded for everybody alike.
const (
	// MinTTL and MaxTTL bound a session's time to live.
	MinTTL = 3 * time.Second
	MaxTTL = 24 * time.Hour
	// DefaultTTL is what clients ask for when the user says nothing.
	DefaultTTL = 10 * time.Second
	// MinHold and MaxHold bound a timed hold.
	MinHold = time.Millisecond
	MaxHold = 30 * 24 * time.Hour
	// MaxDelay bounds a lock-delay.
	MaxDelay = time.Hour
	// MinWait and MaxWait bound an acquire's wait, unless it waits for ever.
	MinWait = time.Millisecond
	MaxWait = 30 * 24 * time.Hour
	// MaxLogTime bounds the stamps of entries, so that no deadline overflows.
	MaxLogTime = lease.End

	// MaxPathBytes and MaxPathSegments bound a lock's path.
	MaxPathBytes    = 512
	MaxPathSegments = 32
	// MaxPrincipalBytes, MaxLabelBytes and MaxNodeBytes bound names.
	MaxPrincipalBytes = 256
	MaxLabelBytes     = 256
	MaxNodeBytes      = 128

	// ReplyWindow is how far above AckedThrough a sequence may lie: so many
	// answers are kept for each session.
	ReplyWindow = 64
	// MaxSequence bounds sequences, so that the window never overflows.
	MaxSequence = 1 << 62
	// RetryHint is what a refusal for a limit hints at.
	RetryHint = time.Second
	// MaxCount bounds the acquisitions of one grant.
	MaxCount = 1 << 16
	// MaxBatchCommands bounds the commands of one entry.
	MaxBatchCommands = 4096
	// TakeOversKept is how many nonces of take-overs a session remembers.
	TakeOversKept = 8
	// TenuresKept is how many tenures' beginnings the state remembers.
	TenuresKept = 8
)

// Limits bound what a partition keeps and what one entry may do. They are part
// of the replicated state: replicas with different limits would diverge.
type Limits struct {
	// Sessions at once.
	Sessions uint32
	// Locks at once that are held, waited for or closed.
	Locks uint32
	// RequestsPerLock bounds the grants, waiters and closures of one lock
	// together; at most 65,535.
	RequestsPerLock uint32
	// PossessionsPerSession bounds a session's grants and waiters together.
	PossessionsPerSession uint32
	// WaitsPerSession bounds a session's waiters and those ended waits that the
	// client has not acknowledged as seen, together.
	WaitsPerSession uint32
	// DuePerEntry is how many deadlines an entry fires at most.
	DuePerEntry uint32
	// FreedPerEntry is how many grants and waiters of ended sessions an entry
	// frees at most.
	FreedPerEntry uint32
}

// all lists the limits in the order in which they are encoded.
func (l *Limits) all() [7]*uint32 {
	return [...]*uint32{
		&l.Sessions, &l.Locks, &l.RequestsPerLock, &l.PossessionsPerSession,
		&l.WaitsPerSession, &l.DuePerEntry, &l.FreedPerEntry,
	}
}

// DefaultLimits suits a partition on a machine with a few GB of memory.
func DefaultLimits() Limits {
	return Limits{
		Sessions:              100_000,
		Locks:                 2_000_000,
		RequestsPerLock:       16_384,
		PossessionsPerSession: 100_000,
		WaitsPerSession:       4_096,
		DuePerEntry:           1_024,
		FreedPerEntry:         1_024,
	}
}

// Validate returns ErrConfig, wrapped, for limits that no engine can keep: those
// of a lock and of a session keep a record within what a snapshot holds.
func (l Limits) Validate() error {
	for _, f := range [...]struct {
		name      string
		value     uint32
		low, high uint32
	}{
		{"sessions", l.Sessions, 1, 1 << 30},
		{"locks", l.Locks, 1, 1 << 30},
		{"requests per lock", l.RequestsPerLock, 1, 1<<16 - 1},
		{"possessions per session", l.PossessionsPerSession, 1, 1 << 30},
		{"waits per session", l.WaitsPerSession, 1, 1 << 18},
		{"due per entry", l.DuePerEntry, 1, 1 << 20},
		{"freed per entry", l.FreedPerEntry, 1, 1 << 20},
	} {
		if f.value < f.low || f.value > f.high {
			return fmt.Errorf("%w: limit %s is %d: want %d to %d", ErrConfig, f.name, f.value, f.low, f.high)
		}
	}
	return nil
}

package client

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SessionID names a session within a lineage; 0 names none.
type SessionID uint64

// OwnerID names who holds inside a session, from 1. Two owners exclude each
// other even in one process; one owner may acquire a lock again.
type OwnerID uint64

// WaiterID names a queued request within a lineage; 0 names none.
type WaiterID uint64

// Token rises with every grant of the partition. As text and JSON it is a
// decimal string, since JSON's numbers lose the digits of large ones.
type Token uint64

// String prints the token in decimal.
func (t Token) String() string { return strconv.FormatUint(uint64(t), 10) }

// MarshalText implements encoding.TextMarshaler.
func (t Token) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(t), 10), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Token) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: token %q is not a number", ErrInvalid, text)
	}
	*t = Token(n)
	return nil
}

// LogTime is time as the service's log counts it. Only differences of log times
// mean anything; it has nothing to do with anybody's wall clock.
type LogTime time.Duration

// Sub is the time from u to t.
func (t LogTime) Sub(u LogTime) time.Duration { return time.Duration(t - u) }

// Position is a place in the log: an index and the number of the event there,
// from 1. The zero Position precedes everything.
type Position struct {
	Index uint64
	N     uint32
}

// Compare returns -1, 0 or +1 as p stands before, at or after q.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.Index, q.Index); c != 0 {
		return c
	}
	return cmp.Compare(p.N, q.N)
}

// String prints a position as index.n, and as a bare index when it is after all
// events of the entry.
func (p Position) String() string {
	if p.N == ^uint32(0) {
		return strconv.FormatUint(p.Index, 10)
	}
	return fmt.Sprintf("%d.%d", p.Index, p.N)
}

// ParsePosition is the inverse of String; a bare index means the whole entry.
func ParsePosition(s string) (Position, error) {
	index, n, dotted := strings.Cut(s, ".")
	i, err := strconv.ParseUint(index, 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("%w: position %q is not index.n", ErrInvalid, s)
	}
	if !dotted {
		return Position{Index: i, N: ^uint32(0)}, nil
	}
	m, err := strconv.ParseUint(n, 10, 32)
	if err != nil {
		return Position{}, fmt.Errorf("%w: position %q is not index.n", ErrInvalid, s)
	}
	return Position{Index: i, N: uint32(m)}, nil
}

// MarshalText implements encoding.TextMarshaler.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Position) UnmarshalText(text []byte) error {
	q, err := ParsePosition(string(text))
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// Mode is how a lock is held. The numbers are those of lockstep.v1.Mode.
type Mode uint8

const (
	// ModeShared lets other shared holders in.
	ModeShared Mode = 3
	// ModeExclusive lets nobody in.
	ModeExclusive Mode = 5
)

// String prints the mode as users write it.
func (m Mode) String() string {
	switch m {
	case ModeShared:
		return "shared"
	case ModeExclusive:
		return "exclusive"
	default:
		return fmt.Sprintf("mode(%d)", uint8(m))
	}
}

// MarshalText implements encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// State is where a session stands, as its own client knows it, or as the log
// records it.
type State uint8

const (
	// StateAlive: the client believes in the session.
	StateAlive State = 1
	// StateJeopardy: the client does not believe, and may still recover everything.
	StateJeopardy State = 2
	// StateExpired: the session is over for this client, for good.
	StateExpired State = 3
)

// String prints the state in capitals, as the documentation does.
func (s State) String() string {
	switch s {
	case StateAlive:
		return "ALIVE"
	case StateJeopardy:
		return "JEOPARDY"
	case StateExpired:
		return "EXPIRED"
	default:
		return fmt.Sprintf("STATE(%d)", uint8(s))
	}
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LockState is where a lock stands. The numbers are those of lockstep.v1.LockState.
type LockState uint8

const (
	// LockFree: nobody holds it and nothing keeps it closed.
	LockFree LockState = 1
	// LockHeld: held, and nobody waits.
	LockHeld LockState = 2
	// LockQueued: held or closed, with waiters.
	LockQueued LockState = 3
	// LockClosed: nobody holds it, and a lock-delay keeps it closed.
	LockClosed LockState = 4
)

// String prints the state in capitals.
func (s LockState) String() string {
	switch s {
	case LockFree:
		return "FREE"
	case LockHeld:
		return "HELD"
	case LockQueued:
		return "QUEUED"
	case LockClosed:
		return "CLOSED"
	default:
		return fmt.Sprintf("STATE(%d)", uint8(s))
	}
}

// MarshalText implements encoding.TextMarshaler.
func (s LockState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

package lockstep

import (
	"context"
	"time"

	"lockstep/client"
)

// The names of package client that programs need, so that importing lockstep
// suffices; each is documented there.
type (
	Client           = client.Client
	Session          = client.Session
	SessionEvent     = client.SessionEvent
	Credential       = client.Credential
	Lock             = client.Lock
	Grant            = client.Grant
	Locker           = client.Locker
	Error            = client.Error
	HistoryGoneError = client.HistoryGoneError

	SessionID = client.SessionID
	OwnerID   = client.OwnerID
	WaiterID  = client.WaiterID
	Token     = client.Token
	Position  = client.Position
	LogTime   = client.LogTime
	Mode      = client.Mode
	State     = client.State
	LockState = client.LockState
	EventKind = client.EventKind
	EndReason = client.EndReason

	Event       = client.Event
	GrantInfo   = client.GrantInfo
	WaiterInfo  = client.WaiterInfo
	ClosureInfo = client.ClosureInfo
	LockInfo    = client.LockInfo
	SessionInfo = client.SessionInfo
	ReadInfo    = client.ReadInfo
	Member      = client.Member
	Status      = client.Status

	SessionOption = client.SessionOption
	LockOption    = client.LockOption
	AcquireOption = client.AcquireOption
	ReadOption    = client.ReadOption
	WatchOption   = client.WatchOption
)

// Modes and states; see package client.
const (
	ModeShared    = client.ModeShared
	ModeExclusive = client.ModeExclusive

	StateAlive    = client.StateAlive
	StateJeopardy = client.StateJeopardy
	StateExpired  = client.StateExpired
)

// Errors to test for with errors.Is; see package client.
var (
	ErrHeld              = client.ErrHeld
	ErrTimeout           = client.ErrTimeout
	ErrLost              = client.ErrLost
	ErrNotHeld           = client.ErrNotHeld
	ErrReleased          = client.ErrReleased
	ErrSessionExpired    = client.ErrSessionExpired
	ErrSuperseded        = client.ErrSuperseded
	ErrUnavailable       = client.ErrUnavailable
	ErrOutcomeUnknown    = client.ErrOutcomeUnknown
	ErrResourceExhausted = client.ErrResourceExhausted
	ErrInvalid           = client.ErrInvalid
	ErrNotPermitted      = client.ErrNotPermitted
	ErrWrongCluster      = client.ErrWrongCluster
	ErrNewLineage        = client.ErrNewLineage
	ErrVersion           = client.ErrVersion
	ErrConversion        = client.ErrConversion
	ErrAlreadyWaiting    = client.ErrAlreadyWaiting
	ErrTooStale          = client.ErrTooStale
	ErrHistoryGone       = client.ErrHistoryGone
	ErrClosed            = client.ErrClosed
)

// Do runs fn while holding lock; see client.Do.
func Do(ctx context.Context, lock *Lock, fn func(context.Context, *Grant) error, opts ...AcquireOption) error {
	return client.Do(ctx, lock, fn, opts...)
}

// TTL is how long after its last heartbeat a session ends; see client.TTL.
func TTL(d time.Duration) SessionOption { return client.TTL(d) }

// Grace is the part of the TTL without belief; see client.Grace.
func Grace(d time.Duration) SessionOption { return client.Grace(d) }

// Label is what listings show of a session; see client.Label.
func Label(s string) SessionOption { return client.Label(s) }

// Shared asks for the shared mode; see client.Shared.
func Shared() LockOption { return client.Shared() }

// Hold caps every possession; see client.Hold.
func Hold(d time.Duration) LockOption { return client.Hold(d) }

// Delay keeps a lock closed after an ungraceful end; see client.Delay.
func Delay(d time.Duration) LockOption { return client.Delay(d) }

// Owner names who holds; see client.Owner.
func Owner(id OwnerID) LockOption { return client.Owner(id) }

// WithWait bounds the waiting in the queue; see client.WithWait.
func WithWait(d time.Duration) AcquireOption { return client.WithWait(d) }

// Stale allows stale reads; see client.Stale.
func Stale(bound time.Duration) ReadOption { return client.Stale(bound) }

// PageSize is how many items a listing fetches at a time; see client.PageSize.
func PageSize(n int) ReadOption { return client.PageSize(n) }

// Info tells where a read was answered; see client.Info.
func Info(into *ReadInfo) ReadOption { return client.Info(into) }

// Exact watches one path alone; see client.Exact.
func Exact() WatchOption { return client.Exact() }

// After begins a watch after a position; see client.After.
func After(p Position) WatchOption { return client.After(p) }

// WithListing begins a watch with a listing; see client.WithListing.
func WithListing() WatchOption { return client.WithListing() }

// ParsePosition is the inverse of Position.String; see client.ParsePosition.
func ParsePosition(s string) (Position, error) { return client.ParsePosition(s) }

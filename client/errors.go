package client

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrHeld: somebody holds the lock, or waits for it ahead, and the request
	// does not wait. Error.Holder names a holder if there is one. From
	// TryAcquire.
	ErrHeld = errors.New("lockstep: the lock is held by somebody else")
	// ErrTimeout: the wait ended before the lock was granted; nothing is held. From
	// Acquire with WithWait.
	ErrTimeout = errors.New("lockstep: the wait for the lock ended without a grant")
	// ErrLost: the possession ended, or this client can no longer be sure of it.
	// The cause of a grant's context when belief ends, and the answer to an
	// acquire whose grant had ended before it was heard of.
	ErrLost = errors.New("lockstep: the lock is lost")
	// ErrNotHeld: the grant has been released, or the service knows no such grant
	// any more. From Release and Validate.
	ErrNotHeld = errors.New("lockstep: the lock is not held")
	// ErrReleased: the cause of a grant's context after its release.
	ErrReleased = errors.New("lockstep: the lock was released")
	// ErrSessionExpired: the session is over: expired, ended, unknown, or of an
	// earlier lineage. Open a new one. From everything that uses a session.
	ErrSessionExpired = errors.New("lockstep: the session has ended")
	// ErrSuperseded: another process has taken the session over. From everything
	// that uses a session.
	ErrSuperseded = errors.New("lockstep: another process has taken the session over")
	// ErrUnavailable: the service could not be reached, has no leader or no
	// quorum, and the request certainly had no effect unless the error is also
	// ErrOutcomeUnknown. Trying again later helps.
	ErrUnavailable = errors.New("lockstep: the service is not available")
	// ErrOutcomeUnknown: the request may have taken effect, or may still do so.
	// An acquire of unknown outcome is withdrawn in the background and released
	// if it was granted, as long as the session lives.
	ErrOutcomeUnknown = errors.New("lockstep: it is not known whether the request took effect")
	// ErrResourceExhausted: a limit of the service is reached. Error.RetryAfter
	// hints when to try again, Error.Limit names the limit.
	ErrResourceExhausted = errors.New("lockstep: a limit of the service is reached")
	// ErrInvalid: the request makes no sense; Error.Detail says why.
	ErrInvalid = errors.New("lockstep: invalid request")
	// ErrNotPermitted: the certificate, or the session's secret, does not allow it.
	ErrNotPermitted = errors.New("lockstep: not permitted")
	// ErrWrongCluster: the endpoint belongs to another cluster than the configured
	// one.
	ErrWrongCluster = errors.New("lockstep: the endpoint belongs to another cluster")
	// ErrNewLineage: the cluster was restored from a backup and begins a new
	// lineage; sessions of the old one are over. Always with ErrSessionExpired.
	ErrNewLineage = errors.New("lockstep: the cluster has begun a new lineage")
	// ErrVersion: client and node do not understand each other's protocol version.
	ErrVersion = errors.New("lockstep: the protocol versions do not fit")
	// ErrConversion: the owner holds the lock in another mode. Release it first.
	ErrConversion = errors.New("lockstep: the owner holds the lock in another mode")
	// ErrAlreadyWaiting: the owner waits for this lock already; use two Lock
	// handles to wait twice.
	ErrAlreadyWaiting = errors.New("lockstep: the owner waits for the lock already")
	// ErrTooStale: the node cannot show that its state is as fresh as the read
	// asks. From reads with Stale.
	ErrTooStale = errors.New("lockstep: the node's state is not as fresh as asked")
	// ErrHistoryGone: a watch asked for events that are no longer kept. From
	// Watch, as *HistoryGoneError with a fresh listing.
	ErrHistoryGone = errors.New("lockstep: the history asked for is gone")
	// ErrClosed: the client, or the session on this side, was closed. From
	// everything.
	ErrClosed = errors.New("lockstep: closed")
)

// Error is what the client returns for a request that failed. Err is one of the
// sentinels above; errors.Is finds it, and the cause.
type Error struct {
	// Op is the operation, such as "acquire".
	Op string
	// Path is the lock, if the operation was about one.
	Path string
	// Err is the sentinel.
	Err error
	// Detail is a sentence for people: what happened and what to do. May be empty.
	Detail string
	// Holder is one of the holders, with ErrHeld; nil if nobody holds it yet.
	Holder *GrantInfo
	// Limit names the limit, with ErrResourceExhausted.
	Limit string
	// RetryAfter is set where trying again after it helps.
	RetryAfter time.Duration
	// Cause is what led to it, if it is not said by Err: the caller's context, the
	// last failure to reach a node, ErrOutcomeUnknown.
	Cause error
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	b.WriteString(": " + e.Err.Error())
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Holder != nil {
		fmt.Fprintf(&b, " (held by session %d with token %d)", e.Holder.Session, e.Holder.Token)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, " (try again in %v)", e.RetryAfter)
	}
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	return b.String()
}

// Unwrap lets errors.Is and errors.As see the sentinel and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// HistoryGoneError tells a watch that events were missed for good, and brings
// the state to start over from. The watch goes on with the events after Position.
type HistoryGoneError struct {
	// Oldest is the oldest position that could have been resumed after.
	Oldest Position
	// Locks is the fresh listing: all locks below the watched prefix.
	Locks []LockInfo
	// Position is where the listing was taken.
	Position Position
}

// Error implements error.
func (e *HistoryGoneError) Error() string {
	return fmt.Sprintf("%v: oldest position is %v; a fresh listing of %d locks was taken at %v",
		ErrHistoryGone, e.Oldest, len(e.Locks), e.Position)
}

// Is makes errors.Is(err, ErrHistoryGone) true.
func (e *HistoryGoneError) Is(target error) bool { return target == ErrHistoryGone }

package client

import "time"

// SessionOption shapes a session.
type SessionOption func(*sessionOptions)

type sessionOptions struct {
	ttl, grace time.Duration
	label      string
}

// TTL is how long after its last heartbeat the service frees what the session
// holds: 3 s to 24 h, 10 s by default. Below 5 s a change of leader may bring
// jeopardy.
func TTL(d time.Duration) SessionOption { return func(o *sessionOptions) { o.ttl = d } }

// Grace is the last part of the TTL, in which the client no longer believes but
// may recover; 2/5 of the TTL by default. Smaller ones leave more time to act
// and less to recover; what clock rates require is refused.
func Grace(d time.Duration) SessionOption { return func(o *sessionOptions) { o.grace = d } }

// Label is shown by `lockstep sessions`, such as host and program.
func Label(s string) SessionOption { return func(o *sessionOptions) { o.label = s } }

// LockOption shapes a lock handle.
type LockOption func(*lockOptions)

type lockOptions struct {
	mode        Mode
	hold, delay time.Duration
	owner       OwnerID
}

// Shared asks for the shared mode, which lets other shared holders in. The
// default is exclusive.
func Shared() LockOption { return func(o *lockOptions) { o.mode = ModeShared } }

// Hold caps every possession: the service ends it after d, and the client
// believes in it a little shorter. Acquiring again while holding does not move
// the end.
func Hold(d time.Duration) LockOption { return func(o *lockOptions) { o.hold = d } }

// Delay keeps the lock closed for d when a possession ends ungracefully, by the
// session's expiry or the hold's end, so that what the holder had in flight can
// settle.
func Delay(d time.Duration) LockOption { return func(o *lockOptions) { o.delay = d } }

// Owner lets the handle act for an owner of the application's choice, from 1 to
// FirstAutomaticOwner-1: handles of the same owner do not exclude each other. By
// default every handle has an owner of its own.
func Owner(id OwnerID) LockOption { return func(o *lockOptions) { o.owner = id } }

// AcquireOption shapes one acquire.
type AcquireOption func(*acquireOptions)

type acquireOptions struct {
	wait time.Duration // -1: for ever
}

// WithWait bounds the waiting in the queue, on the service's log time: past it
// the service withdraws the request and Acquire returns ErrTimeout. It ends
// late under a change of leader, never early. 0 does not wait at all and may
// return ErrHeld. Without it Acquire waits until its context ends.
func WithWait(d time.Duration) AcquireOption { return func(o *acquireOptions) { o.wait = max(d, 0) } }

// ReadOption shapes a read.
type ReadOption func(*readOptions)

type readOptions struct {
	stale *time.Duration
	page  uint32
	info  *ReadInfo
}

// Stale lets any node answer from its own state if it can show that the state is
// at most bound old; a negative bound: however old. The default is a
// linearizable read.
func Stale(bound time.Duration) ReadOption {
	return func(o *readOptions) {
		if bound < 0 {
			bound = -1
		}
		o.stale = &bound
	}
}

// PageSize is how many items a listing fetches at a time, 1 to MaxPageSize. Each
// page is a read of its own.
func PageSize(n int) ReadOption {
	return func(o *readOptions) { o.page = uint32(min(max(n, 1), MaxPageSize)) }
}

// Info stores where each page was read and how fresh it is, before its items are
// yielded.
func Info(into *ReadInfo) ReadOption { return func(o *readOptions) { o.info = into } }

// WatchOption shapes a watch.
type WatchOption func(*watchOptions)

type watchOptions struct {
	exact   bool
	after   *Position
	listing bool
}

// Exact watches the path alone and nothing below it.
func Exact() WatchOption { return func(o *watchOptions) { o.exact = true } }

// After begins with the events after p; by default a watch begins with what
// happens from now on.
func After(p Position) WatchOption { return func(o *watchOptions) { o.after = &p } }

// WithListing lets the watch begin with one EventListing, and go on with the
// events after its position.
func WithListing() WatchOption { return func(o *watchOptions) { o.listing = true } }

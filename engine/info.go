package engine

import "time"

// Grant is an owner's possession of a lock.
type Grant struct {
	Path    string
	Session SessionID
	Owner   OwnerID
	Mode    Mode
	Token   Token
	// Floor is the last token of an incompatible grant before this one.
	Floor Token
	// Count is how many acquisitions are to be released.
	Count uint32
	// Since is the position of the grant, SinceTime its log time.
	Since     Position
	SinceTime LogTime
	// Waiter it came from; 0: granted at once.
	Waiter WaiterID
	// Until is the log time at which the hold ends; 0: no hold.
	Until LogTime
}

// Waiter is a queued request.
type Waiter struct {
	ID       WaiterID
	Path     string
	Session  SessionID
	Owner    OwnerID
	Mode     Mode
	Sequence uint64
	// Since is where it was queued, SinceTime its log time.
	Since     Position
	SinceTime LogTime
	// Deadline is the log time at which the wait ends; 0: never.
	Deadline LogTime
	// Ahead counts the requests before it.
	Ahead uint32
}

// Closure is what a lock-delay leaves behind: a dead grant's mode, owned by nobody.
type Closure struct {
	Mode  Mode
	Token Token
	Until LogTime
}

// LockInfo is everything about one lock.
type LockInfo struct {
	Path      string
	Holders   []Grant
	Closures  []Closure
	Waiters   uint32
	LastToken Token
}

// SessionState is where a session stands.
type SessionState uint8

const (
	// SessionAlive: no silence is recorded.
	SessionAlive SessionState = 1
	// SessionJeopardy: silence is recorded.
	SessionJeopardy SessionState = 2
	// SessionExpired: it expired or ended, and what it held is being freed.
	SessionExpired SessionState = 3
)

// SessionInfo is a session without its grants.
type SessionInfo struct {
	ID          SessionID
	Incarnation uint32
	State       SessionState
	// Ended is set when the session expired because its client ended it.
	Ended bool
	// Left is set when the incarnation's process has left the session; its
	// requests are refused until another process takes over.
	Left       bool
	Principal  string
	Label      string
	SecretHash [32]byte
	TTL        time.Duration
	Grace      time.Duration
	// Silence that the log records.
	Silence    time.Duration
	Grants     uint32
	Waiters    uint32
	Opened     Position
	OpenedTime LogTime
	// GrantsChanged is the position of the last change to its grants.
	GrantsChanged Position
	LastSequence  uint64
}

// WaitOutcome is how a wait ended: with Token, or for Reason without one.
type WaitOutcome struct {
	Waiter   WaiterID
	Sequence uint64
	Token    Token
	Reason   EndReason
	Position Position
}

// Tenure is the term of office that the log has seen last.
type Tenure struct {
	Node string
	Term uint64
	// Began is the log time at which it began.
	Began LogTime
}

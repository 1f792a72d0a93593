package engine

import "time"

// CommandKind numbers the commands; the numbers are part of the log's format.
type CommandKind uint8

// The commands. Those that no client asked for carry the term of the tenure that
// decided them and are refused when their entry has another term.
const (
	// KindTakeOffice begins a tenure.
	KindTakeOffice CommandKind = 1
	// KindTick fires what is due and does a portion of pending work; nothing else.
	KindTick CommandKind = 2
	// KindOpenSession opens a session, or finds the one its secret opened.
	KindOpenSession CommandKind = 3
	// KindTakeOver raises a session's incarnation for a new process.
	KindTakeOver CommandKind = 4
	// KindLeave says that an incarnation believes in nothing any more.
	KindLeave CommandKind = 5
	// KindEndSession ends a session gracefully.
	KindEndSession CommandKind = 6
	// KindSilent records silence of a session.
	KindSilent CommandKind = 7
	// KindAlive wipes recorded silence out.
	KindAlive CommandKind = 8
	// KindExpireSession ends a session that was silent for its TTL.
	KindExpireSession CommandKind = 9
	// KindAcquire asks for a lock.
	KindAcquire CommandKind = 10
	// KindRelease undoes one acquisition.
	KindRelease CommandKind = 11
	// KindCancel gives an acquire up.
	KindCancel CommandKind = 12
)

// Command is one of the structs below; the set is closed.
type Command interface {
	Kind() CommandKind
}

// Request identifies a mutating request of a session, for exactly-once
// execution. Every command of a client but OpenSession and TakeOver has one.
type Request struct {
	Session     SessionID
	Incarnation uint32
	// Sequence is at least 1. Within the window above AckedThrough sequences
	// may arrive in any order.
	Sequence uint64
	// AckedThrough: answers up to this sequence have arrived at the client.
	AckedThrough uint64
	// SeenThrough: the session's events up to here have been processed.
	SeenThrough Position
}

// Waiting is how long an acquire may wait, in log time.
type Waiting time.Duration

const (
	// NoWait answers at once.
	NoWait Waiting = 0
	// WaitForever waits until granted, cancelled, or the session's end.
	WaitForever Waiting = -1
)

// TakeOffice is proposed by a node that was elected. A tenure begins when its
// entry's term equals Term.
type TakeOffice struct {
	Node string
	Term uint64
}

// Tick lets due deadlines fire and pending work go on.
type Tick struct{ Term uint64 }

// OpenSession opens a session. A live session of the same secret hash and
// principal is answered again, which makes the command safe to retry.
type OpenSession struct {
	SecretHash [32]byte
	TTL        time.Duration
	Grace      time.Duration
	Principal  string
	Label      string
}

// TakeOver raises the incarnation; the same Nonce does so once.
type TakeOver struct {
	Session    SessionID
	SecretHash [32]byte
	Principal  string
	Nonce      uint64
}

// Leave says that the incarnation's process has lowered every belief.
type Leave struct{ Request }

// EndSession releases all and ends the session.
type EndSession struct{ Request }

// Silent adds Observed to the silence that the log records for the session.
type Silent struct {
	Term     uint64
	Session  SessionID
	Observed time.Duration
}

// Alive sets the recorded silence to nothing.
type Alive struct {
	Term    uint64
	Session SessionID
}

// ExpireSession ends the session and begins to free what it held.
type ExpireSession struct {
	Term    uint64
	Session SessionID
}

// Acquire asks for Path in Mode on behalf of an owner of the session.
type Acquire struct {
	Request
	Owner OwnerID
	Path  string
	Mode  Mode
	Wait  Waiting
	// Hold caps the possession, counted from the grant; 0: no cap. Re-entry does
	// not move it.
	Hold time.Duration
	// Delay keeps the lock closed for so long when the grant ends ungracefully.
	Delay time.Duration
}

// Release undoes one acquisition of the grant that Token names.
type Release struct {
	Request
	Owner OwnerID
	Path  string
	Token Token
}

// Cancel gives up the acquire with sequence Target, arrived or not.
type Cancel struct {
	Request
	Target uint64
}

// Kind is KindTakeOffice.
func (*TakeOffice) Kind() CommandKind { return KindTakeOffice }

// Kind is KindTick.
func (*Tick) Kind() CommandKind { return KindTick }

// Kind is KindOpenSession.
func (*OpenSession) Kind() CommandKind { return KindOpenSession }

// Kind is KindTakeOver.
func (*TakeOver) Kind() CommandKind { return KindTakeOver }

// Kind is KindLeave.
func (*Leave) Kind() CommandKind { return KindLeave }

// Kind is KindEndSession.
func (*EndSession) Kind() CommandKind { return KindEndSession }

// Kind is KindSilent.
func (*Silent) Kind() CommandKind { return KindSilent }

// Kind is KindAlive.
func (*Alive) Kind() CommandKind { return KindAlive }

// Kind is KindExpireSession.
func (*ExpireSession) Kind() CommandKind { return KindExpireSession }

// Kind is KindAcquire.
func (*Acquire) Kind() CommandKind { return KindAcquire }

// Kind is KindRelease.
func (*Release) Kind() CommandKind { return KindRelease }

// Kind is KindCancel.
func (*Cancel) Kind() CommandKind { return KindCancel }

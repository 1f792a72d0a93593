package engine

import "time"

// Result is the answer to one command: one of the structs below; the set is
// closed. A refusal is a result like any other.
type Result interface {
	isResult()
}

// OfficeTaken answers TakeOffice: a tenure has begun.
type OfficeTaken struct {
	// Time is the log time at which the tenure began.
	Time LogTime
}

// Opened answers OpenSession.
type Opened struct {
	Session     SessionID
	Incarnation uint32
	TTL         time.Duration
	Grace       time.Duration
	Position    Position
}

// TakenOver answers TakeOver.
type TakenOver struct {
	Incarnation uint32
	TTL         time.Duration
	Grace       time.Duration
	Position    Position
	// LastSequence is the highest sequence that earlier incarnations used.
	LastSequence uint64
	// Embargo is how long weakening requests will be refused, from now.
	Embargo time.Duration
}

// Done answers Tick, Leave, EndSession, Silent, Alive and ExpireSession.
type Done struct{ Position Position }

// Granted answers Acquire.
type Granted struct {
	Grant Grant
	// HoldRemaining is what is left of the hold at the answer; 0: no hold.
	HoldRemaining time.Duration
	Position      Position
}

// Queued answers Acquire: the request waits.
type Queued struct {
	Waiter   WaiterID
	Position Position
	// Ahead counts the requests before it in the queue.
	Ahead uint32
}

// Released answers Release.
type Released struct {
	// Remaining acquisitions are still to be released.
	Remaining uint32
	Position  Position
}

// CancelOutcome tells what became of a cancelled acquire.
type CancelOutcome uint8

const (
	// NeverExecuted: the target had not arrived and never will be executed.
	NeverExecuted CancelOutcome = 1
	// Withdrawn: the target waited and waits no more.
	Withdrawn CancelOutcome = 2
	// WasGranted: too late, the grant stands and is the client's to release.
	WasGranted CancelOutcome = 3
	// WasEnded: too late, it had ended without a grant that still stands.
	WasEnded CancelOutcome = 4
)

// Cancelled answers Cancel.
type Cancelled struct {
	Outcome CancelOutcome
	// Grant and HoldRemaining are set with WasGranted.
	Grant         Grant
	HoldRemaining time.Duration
	Position      Position
}

// Refused answers any command that shall have no effect.
type Refused struct {
	Reason Reason
	// Detail is a sentence for people, the same on every replica.
	Detail string
	// Holder is one of the holders, with ReasonHeld, if there is one.
	Holder Grant
	// Limit names the limit, with ReasonResourceExhausted.
	Limit string
	// RetryAfter is set where trying again later helps.
	RetryAfter time.Duration
	Position   Position
}

// Reason numbers the refusals as lockstep.v1.Reason does.
type Reason uint8

// The reasons; each is described where lockstep.v1 defines it.
const (
	ReasonSessionUnknown       Reason = 1
	ReasonSessionExpired       Reason = 2
	ReasonSessionSuperseded    Reason = 3
	ReasonNotYours             Reason = 4
	ReasonSequenceAcknowledged Reason = 5
	ReasonSequenceWindow       Reason = 6
	ReasonSequenceReused       Reason = 7
	ReasonCancelled            Reason = 8
	ReasonHeld                 Reason = 9
	ReasonNotHolder            Reason = 10
	ReasonConversion           Reason = 11
	ReasonAlreadyWaiting       Reason = 12
	ReasonResourceExhausted    Reason = 13
	ReasonInvalid              Reason = 14
	ReasonEmbargoed            Reason = 15
	ReasonStaleTerm            Reason = 16
)

func (*OfficeTaken) isResult() {}
func (*Opened) isResult()      {}
func (*TakenOver) isResult()   {}
func (*Done) isResult()        {}
func (*Granted) isResult()     {}
func (*Queued) isResult()      {}
func (*Released) isResult()    {}
func (*Cancelled) isResult()   {}
func (*Refused) isResult()     {}

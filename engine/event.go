package engine

// EventKind numbers the events as lockstep.v1.EventKind does.
type EventKind uint8

const (
	// EventTenureBegan: Node, Term.
	EventTenureBegan EventKind = 1
	// EventSessionOpened: Session, Incarnation, Principal.
	EventSessionOpened EventKind = 2
	// EventSessionTakenOver: Session, Incarnation (the new one).
	EventSessionTakenOver EventKind = 3
	// EventSessionLeft: Session, Incarnation.
	EventSessionLeft EventKind = 4
	// EventSessionJeopardy: Session; its first recorded silence.
	EventSessionJeopardy EventKind = 5
	// EventSessionAlive: Session; recovered from jeopardy.
	EventSessionAlive EventKind = 6
	// EventSessionExpired: Session; what it holds is being freed.
	EventSessionExpired EventKind = 7
	// EventSessionEnded: Session; what it holds is being freed.
	EventSessionEnded EventKind = 8
	// EventSessionGone: Session; it holds nothing and its record is deleted.
	EventSessionGone EventKind = 9
	// EventQueued: Path, Session, Owner, Mode, Waiter, Sequence, Until (wait deadline).
	EventQueued EventKind = 10
	// EventGranted: Path, Session, Owner, Mode, Token, Floor, Count, Until (hold);
	// after a wait also Waiter and Sequence.
	EventGranted EventKind = 11
	// EventReentered: Path, Session, Owner, Mode, Token, Count.
	EventReentered EventKind = 12
	// EventLeftOnce: Path, Session, Owner, Mode, Token, Count (what remains).
	EventLeftOnce EventKind = 13
	// EventGrantEnded: Path, Session, Owner, Mode, Token, Reason.
	EventGrantEnded EventKind = 14
	// EventWaitEnded: Path, Session, Owner, Mode, Waiter, Sequence, Reason; not
	// for waits that end in a grant.
	EventWaitEnded EventKind = 15
	// EventClosed: Path, Mode, Token (of the dead grant), Until.
	EventClosed EventKind = 16
	// EventReopened: Path, Mode, Token (of the dead grant).
	EventReopened EventKind = 17
)

// EndReason numbers why a grant or a wait ended, as lockstep.v1.EndReason does.
type EndReason uint8

// The reasons.
const (
	EndReleased       EndReason = 1
	EndSessionExpired EndReason = 2
	EndSessionEnded   EndReason = 3
	EndHoldEnded      EndReason = 4
	EndWaitTimedOut   EndReason = 5
	EndCancelled      EndReason = 6
)

// Event is one change of the state, at its place in the log. Which fields are
// set follows from Kind; all others are zero.
type Event struct {
	Position    Position
	Kind        EventKind
	Mode        Mode
	Reason      EndReason
	Incarnation uint32
	Count       uint32
	Time        LogTime
	Path        string
	Session     SessionID
	Owner       OwnerID
	Token       Token
	Floor       Token
	Waiter      WaiterID
	Sequence    uint64
	Until       LogTime
	Term        uint64
	// Node or principal, by Kind.
	Name string
}

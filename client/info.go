package client

import "time"

// GrantInfo is an owner's possession of a lock, as the service tells it.
type GrantInfo struct {
	Path    string    `json:"path"`
	Session SessionID `json:"session"`
	Owner   OwnerID   `json:"owner"`
	Mode    Mode      `json:"mode"`
	Token   Token     `json:"token"`
	// Floor is the last token of an incompatible grant before this one.
	Floor Token `json:"floor"`
	// Count is how many acquisitions are to be released.
	Count uint32 `json:"count"`
	// Since is the position of the grant, SinceTime its log time.
	Since     Position `json:"since"`
	SinceTime LogTime  `json:"since_ns"`
	// Waiter it came from; 0: granted at once.
	Waiter WaiterID `json:"waiter,omitempty"`
	// Until is the log time at which the hold ends; 0: no hold.
	Until LogTime `json:"until_ns,omitempty"`
}

// WaiterInfo is a queued request.
type WaiterInfo struct {
	Waiter    WaiterID  `json:"waiter"`
	Path      string    `json:"path"`
	Session   SessionID `json:"session"`
	Owner     OwnerID   `json:"owner"`
	Mode      Mode      `json:"mode"`
	Sequence  uint64    `json:"sequence"`
	Since     Position  `json:"since"`
	SinceTime LogTime   `json:"since_ns"`
	// Deadline is the log time at which the wait ends; 0: never.
	Deadline LogTime `json:"deadline_ns,omitempty"`
	// Ahead counts the requests before it.
	Ahead uint32 `json:"ahead"`
}

// ClosureInfo is what a lock-delay leaves behind: a dead grant's mode, owned by
// nobody, until Until.
type ClosureInfo struct {
	Mode  Mode    `json:"mode"`
	Token Token   `json:"token"`
	Until LogTime `json:"until_ns"`
}

// LockInfo is everything about one lock.
type LockInfo struct {
	Path      string        `json:"path"`
	State     LockState     `json:"state"`
	Holders   []GrantInfo   `json:"holders,omitempty"`
	Closures  []ClosureInfo `json:"closures,omitempty"`
	Waiters   uint32        `json:"waiters"`
	LastToken Token         `json:"last_token"`
	// Now is the log time at the reading, to which the others compare.
	Now LogTime `json:"now_ns"`
}

// SessionInfo is a session as the log knows it.
type SessionInfo struct {
	Session     SessionID     `json:"session"`
	Incarnation uint32        `json:"incarnation"`
	State       State         `json:"state"`
	Ended       bool          `json:"ended,omitempty"`
	Principal   string        `json:"principal"`
	Label       string        `json:"label,omitempty"`
	TTL         time.Duration `json:"ttl_ns"`
	Grace       time.Duration `json:"grace_ns"`
	// Silence that the log records.
	Silence    time.Duration `json:"silence_ns,omitempty"`
	Grants     uint32        `json:"grants"`
	Waiters    uint32        `json:"waiters"`
	Opened     Position      `json:"opened"`
	OpenedTime LogTime       `json:"opened_ns"`
}

// Member is a node of the cluster.
type Member struct {
	Node    string `json:"node"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
}

// Status is what one node says about itself and knows of the cluster.
type Status struct {
	Node    string `json:"node"`
	Version string `json:"version"`
	Cluster string `json:"cluster"`
	Lineage uint64 `json:"lineage"`
	// Role is "leader", "follower" or "candidate".
	Role    string   `json:"role"`
	Term    uint64   `json:"term"`
	Leader  *Member  `json:"leader,omitempty"`
	Members []Member `json:"members"`
	// Position is how far the node's state has come.
	Position    Position `json:"position"`
	CommitIndex uint64   `json:"commit_index"`
	LogTime     LogTime  `json:"log_time_ns"`
	// Serving: a tenure runs on this node.
	Serving bool `json:"serving"`
	// Quorum: a quorum answered a confirmation round within the last seconds.
	Quorum        bool          `json:"quorum"`
	Sessions      uint64        `json:"sessions"`
	Locks         uint64        `json:"locks"`
	Waiters       uint64        `json:"waiters"`
	LastToken     Token         `json:"last_token"`
	SnapshotIndex uint64        `json:"snapshot_index"`
	Digest        string        `json:"digest"`
	DigestIndex   uint64        `json:"digest_index"`
	Uptime        time.Duration `json:"uptime_ns"`
}

// ReadInfo tells where a read was answered and how fresh the answer is.
type ReadInfo struct {
	// Node that answered, and how far its state had come.
	Node     string   `json:"node"`
	Position Position `json:"position"`
	// Linearizable: the answer is as if given between call and return.
	Linearizable bool `json:"linearizable"`
	// Age bounds how old a stale answer is; -1: not known.
	Age time.Duration `json:"age_ns"`
}

// EndReason says why a grant or a wait ended. The numbers are those of
// lockstep.v1.EndReason.
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

var endReasonNames = [...]string{
	EndReleased: "released", EndSessionExpired: "session expired", EndSessionEnded: "session ended",
	EndHoldEnded: "hold ended", EndWaitTimedOut: "wait timed out", EndCancelled: "cancelled",
}

// String prints the reason in words.
func (r EndReason) String() string {
	if int(r) < len(endReasonNames) {
		return endReasonNames[r]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (r EndReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// EventKind says what changed. The numbers are those of lockstep.v1.EventKind.
type EventKind uint8

// The kinds; each says which fields of Event it sets beside Position, Kind and Time.
const (
	// EventTenureBegan: Node, Term.
	EventTenureBegan EventKind = 1
	// EventSessionOpened: Session, Incarnation, Principal.
	EventSessionOpened EventKind = 2
	// EventSessionTakenOver: Session, Incarnation.
	EventSessionTakenOver EventKind = 3
	// EventSessionLeft: Session, Incarnation.
	EventSessionLeft EventKind = 4
	// EventSessionJeopardy: Session.
	EventSessionJeopardy EventKind = 5
	// EventSessionAlive: Session.
	EventSessionAlive EventKind = 6
	// EventSessionExpired: Session.
	EventSessionExpired EventKind = 7
	// EventSessionEnded: Session.
	EventSessionEnded EventKind = 8
	// EventSessionGone: Session.
	EventSessionGone EventKind = 9
	// EventQueued: Path, Session, Owner, Mode, Waiter, Sequence, Until.
	EventQueued EventKind = 10
	// EventGranted: Path, Session, Owner, Mode, Token, Floor, Count, Until; after a
	// wait also Waiter and Sequence.
	EventGranted EventKind = 11
	// EventReentered: Path, Session, Owner, Mode, Token, Count.
	EventReentered EventKind = 12
	// EventLeftOnce: Path, Session, Owner, Mode, Token, Count.
	EventLeftOnce EventKind = 13
	// EventGrantEnded: Path, Session, Owner, Mode, Token, Reason.
	EventGrantEnded EventKind = 14
	// EventWaitEnded: Path, Session, Owner, Mode, Waiter, Sequence, Reason.
	EventWaitEnded EventKind = 15
	// EventClosed: Path, Mode, Token, Until.
	EventClosed EventKind = 16
	// EventReopened: Path, Mode, Token.
	EventReopened EventKind = 17
	// EventListing: Locks. Not an event of the log but what a watch with
	// WithListing begins with.
	EventListing EventKind = 255
)

var eventKindNames = [...]string{
	EventTenureBegan: "tenure began", EventSessionOpened: "session opened",
	EventSessionTakenOver: "session taken over", EventSessionLeft: "session left",
	EventSessionJeopardy: "session jeopardy", EventSessionAlive: "session alive",
	EventSessionExpired: "session expired", EventSessionEnded: "session ended",
	EventSessionGone: "session gone", EventQueued: "queued", EventGranted: "granted",
	EventReentered: "reentered", EventLeftOnce: "left once", EventGrantEnded: "grant ended",
	EventWaitEnded: "wait ended", EventClosed: "closed", EventReopened: "reopened",
	EventListing: "listing",
}

// String prints the kind in words.
func (k EventKind) String() string {
	if int(k) < len(eventKindNames) && eventKindNames[k] != "" {
		return eventKindNames[k]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is one change on the service, at its place in the log.
type Event struct {
	Position    Position  `json:"position"`
	Kind        EventKind `json:"kind"`
	Time        LogTime   `json:"time_ns"`
	Path        string    `json:"path,omitempty"`
	Session     SessionID `json:"session,omitempty"`
	Incarnation uint32    `json:"incarnation,omitempty"`
	Principal   string    `json:"principal,omitempty"`
	Owner       OwnerID   `json:"owner,omitempty"`
	Mode        Mode      `json:"mode,omitempty"`
	Token       Token     `json:"token,omitempty"`
	Floor       Token     `json:"floor,omitempty"`
	Count       uint32    `json:"count,omitempty"`
	Waiter      WaiterID  `json:"waiter,omitempty"`
	Sequence    uint64    `json:"sequence,omitempty"`
	// Until is the log time at which a hold, a wait or a closure ends; 0: never.
	Until  LogTime   `json:"until_ns,omitempty"`
	Reason EndReason `json:"reason,omitempty"`
	Node   string    `json:"node,omitempty"`
	Term   uint64    `json:"term,omitempty"`
	// Locks is the listing, with EventListing.
	Locks []LockInfo `json:"locks,omitempty"`
}

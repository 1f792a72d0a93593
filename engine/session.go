package engine

import (
	"cmp"
	"slices"
	"time"

	"lockstep/engine/cow"
)

// session is a session's record.
type session struct {
	record
	id          SessionID
	incarnation uint32
	state       SessionState
	// ended by its client; only with SessionExpired.
	ended bool
	// left: the incarnation's process believes in nothing any more.
	left       bool
	secretHash [32]byte
	principal  string
	label      string
	ttl        time.Duration
	grace      time.Duration
	silence    time.Duration
	opened     Position
	openedTime LogTime
	// grantsChanged is the position of the last change to the grants.
	grantsChanged Position

	// embargoed says that a process was taken over that may still have believed,
	// embargoFrom is the log time at which the last one was.
	embargoed   bool
	embargoFrom LogTime
	// takeOvers are the last ones, oldest first.
	takeOvers []takeOver

	lastSequence uint64
	ackedThrough uint64
	// replies above ackedThrough, by sequence.
	replies []reply
	// ended waits that the client has not acknowledged as seen, by position.
	endedWaits []WaitOutcome

	// What follows from the locks; not encoded.
	grants  uint32
	waiters uint32
	// own indexes what the session holds and waits for. It is the engine's, not
	// part of the state: a view must not look at it.
	own *possessions
}

// takeOver is remembered so that a nonce takes over once.
type takeOver struct {
	nonce       uint64
	incarnation uint32
	position    Position
	// lastSequence is the highest that earlier incarnations used.
	lastSequence uint64
}

// reply is an answer kept for retries.
type reply struct {
	sequence uint64
	// imprint is the fingerprint of the request, or anyRequest.
	imprint uint64
	result  Result
}

// anyRequest marks the answer that a cancellation left for a request that had not
// arrived: whatever it is, it is not executed.
const anyRequest = 0

// possessions are a session's grants by token and its waiters by id.
type possessions struct {
	grants cow.Tree[Token, string]
	waits  cow.Tree[WaiterID, *waiter]
}

func newPossessions() *possessions {
	return &possessions{
		grants: cow.New[Token, string](cmp.Compare[Token]),
		waits:  cow.New[WaiterID, *waiter](cmp.Compare[WaiterID]),
	}
}

func (s *session) clone(epoch uint64) *session {
	c := *s
	c.epoch = epoch
	c.takeOvers = slices.Clone(s.takeOvers)
	c.replies = slices.Clone(s.replies)
	c.endedWaits = slices.Clone(s.endedWaits)
	return &c
}

// touchSession makes a session's record one that may be changed, until the next
// View. The record handed in is not to be used any more.
func (e *Engine) touchSession(s *session) *session {
	if s.epoch != e.epoch {
		s = s.clone(e.epoch)
		e.sessions.Replace(e.epoch, s.id, s)
	}
	e.digest.session(s)
	return s
}

// becomeJeopardy is the edge from ALIVE, the only one there is.
func (s *session) becomeJeopardy() {
	if s.state != SessionAlive {
		bug("session %d: JEOPARDY from state %d", s.id, s.state)
	}
	s.state = SessionJeopardy
}

// becomeAlive is the edge from JEOPARDY.
func (s *session) becomeAlive() {
	if s.state != SessionJeopardy {
		bug("session %d: ALIVE from state %d", s.id, s.state)
	}
	s.state, s.silence = SessionAlive, 0
}

// becomeExpired is the edge from ALIVE and JEOPARDY; there is none back.
func (s *session) becomeExpired(ended bool) {
	if s.state == SessionExpired {
		bug("session %d: EXPIRED twice", s.id)
	}
	s.state, s.ended = SessionExpired, ended
}

func (s *session) info() SessionInfo {
	return SessionInfo{
		ID:            s.id,
		Incarnation:   s.incarnation,
		State:         s.state,
		Ended:         s.ended,
		Left:          s.left,
		Principal:     s.principal,
		Label:         s.label,
		SecretHash:    s.secretHash,
		TTL:           s.ttl,
		Grace:         s.grace,
		Silence:       s.silence,
		Grants:        s.grants,
		Waiters:       s.waiters,
		Opened:        s.opened,
		OpenedTime:    s.openedTime,
		GrantsChanged: s.grantsChanged,
		LastSequence:  s.lastSequence,
	}
}

// findReply returns where the answer to a sequence is kept, or belongs.
func (s *session) findReply(sequence uint64) (int, bool) {
	last := len(s.replies) - 1
	if last < 0 || s.replies[last].sequence < sequence {
		return last + 1, false // in order, as requests usually come
	}
	return slices.BinarySearchFunc(s.replies, sequence, func(r reply, q uint64) int {
		return cmp.Compare(r.sequence, q)
	})
}

// keep keeps an answer for retries.
func (s *session) keep(sequence, imprint uint64, result Result) {
	i, _ := s.findReply(sequence)
	s.replies = slices.Insert(s.replies, i, reply{sequence, imprint, result})
	s.lastSequence = max(s.lastSequence, sequence)
}

// acknowledge forgets what the client has told it no longer needs.
func (s *session) acknowledge(r *Request) {
	if r.AckedThrough > s.ackedThrough {
		s.ackedThrough = r.AckedThrough
		i := 0
		for i < len(s.replies) && s.replies[i].sequence <= s.ackedThrough {
			i++
		}
		s.replies = slices.Delete(s.replies, 0, i)
	}
	i := 0
	for i < len(s.endedWaits) && s.endedWaits[i].Position.Compare(r.SeenThrough) <= 0 {
		i++
	}
	s.endedWaits = slices.Delete(s.endedWaits, 0, i)
}

package engine

import (
	"time"

	"lockstep/engine/queue"
)

// span reads a duration that is not negative and at most limit.
func (r *reader) span(limit time.Duration) time.Duration {
	return time.Duration(r.uintUpTo(uint64(limit)))
}

func (r *reader) mode() Mode {
	m := Mode(r.byte())
	if !m.Valid() {
		r.fail()
		return 0
	}
	return m
}

// decodeHeader reads what appendHeader wrote, and how many sessions and locks
// follow.
func decodeHeader(r *reader) (st state, sessions, locks uint64) {
	st = newState(r.uint(), Limits{})
	st.index = r.uint()
	st.term = r.uint()
	st.time = r.logTime()
	for _, limit := range st.limits.all() {
		*limit = r.uint32()
	}
	st.tenure = Tenure{Node: r.string(), Term: r.uint(), Began: r.logTime()}
	st.tenures.seen = r.uint()
	for i := range st.tenures.began {
		st.tenures.began[i] = r.logTime()
	}
	st.lastSession = SessionID(r.uint())
	st.lastWaiter = WaiterID(r.uint())
	st.lastToken = Token(r.uint())
	return st, r.uint(), r.uint()
}

// decodeSession reads what appendSession wrote.
func decodeSession(r *reader) *session {
	s := &session{own: newPossessions()}
	s.id = SessionID(r.uint())
	s.incarnation = r.uint32()
	s.state = SessionState(r.byte())
	s.ended = r.bool()
	s.left = r.bool()
	s.secretHash = r.hash()
	s.principal = r.string()
	s.label = r.string()
	s.ttl = r.span(MaxTTL)
	s.grace = r.span(MaxTTL)
	s.silence = r.span(MaxTTL)
	s.opened = r.position()
	s.openedTime = r.logTime()
	s.grantsChanged = r.position()
	s.embargoed = r.bool()
	s.embargoFrom = r.logTime()
	for range r.count(5) {
		s.takeOvers = append(s.takeOvers, takeOver{
			nonce: r.uint(), incarnation: r.uint32(), position: r.position(), lastSequence: r.uint(),
		})
	}
	s.lastSequence = r.uint()
	s.ackedThrough = r.uint()
	for range r.count(5) {
		s.replies = append(s.replies, reply{sequence: r.uint(), imprint: r.uint(), result: r.kept()})
	}
	for range r.count(6) {
		s.endedWaits = append(s.endedWaits, WaitOutcome{
			Waiter: WaiterID(r.uint()), Sequence: r.uint(), Token: Token(r.uint()),
			Reason: EndReason(r.byte()), Position: r.position(),
		})
	}
	return s
}

// kept reads what appendKept wrote.
func (r *reader) kept() Result {
	switch keptKind(r.byte()) {
	case keptDone:
		return &Done{Position: r.position()}
	case keptGranted:
		return &Granted{Grant: r.grant(), HoldRemaining: r.span(MaxHold), Position: r.position()}
	case keptQueued:
		return &Queued{Waiter: WaiterID(r.uint()), Ahead: r.uint32(), Position: r.position()}
	case keptReleased:
		return &Released{Remaining: r.uint32(), Position: r.position()}
	case keptCancelled:
		return &Cancelled{
			Outcome: CancelOutcome(r.byte()), Grant: r.grant(), HoldRemaining: r.span(MaxHold), Position: r.position(),
		}
	case keptRefused:
		a := &Refused{
			Reason: Reason(r.byte()), Holder: r.grant(), Limit: r.string(),
			RetryAfter: time.Duration(r.uintUpTo(uint64(MaxLogTime))), Position: r.position(),
		}
		a.Detail = detail(a.Reason, a.Limit)
		return a
	default:
		r.fail()
		return &Done{}
	}
}

// grant reads what appendGrant wrote.
func (r *reader) grant() (g Grant) {
	if g.Path = r.string(); g.Path == "" {
		return g
	}
	return Grant{
		Path: g.Path, Session: SessionID(r.uint()), Owner: OwnerID(r.uint()), Mode: r.mode(),
		Token: Token(r.uint()), Floor: Token(r.uint()), Count: r.uint32(), Since: r.position(),
		SinceTime: r.logTime(), Waiter: WaiterID(r.uint()), Until: r.logTime(),
	}
}

// Shortest encodings, so that a count can be refused before anything is made.
const (
	minHolderBytes  = 13
	minWaiterBytes  = 13
	minClosureBytes = 5
)

// decodeLock reads what appendLock wrote.
func decodeLock(r *reader) *lock {
	l := &lock{path: r.string()}
	if CheckPath(l.path) != nil {
		r.fail()
	}
	l.base = Token(r.uint())
	for i := range l.last {
		l.last[i] = Token(r.uint())
	}
	holders := r.count(minHolderBytes)
	l.holders = l.first[:0]
	for range holders {
		l.holders = append(l.holders, r.holder())
		l.held.Add(l.holders[len(l.holders)-1].mode)
	}
	ln := &line{waiters: queue.New[*waiter]()}
	last := queue.Key{}
	for i := range r.count(minWaiterBytes) {
		w := r.waiter(l.path)
		if i > 0 && w.key.Compare(last) <= 0 {
			r.fail()
		}
		if r.failed {
			return l
		}
		last = w.key
		ln.waiters.Enter(0, w.key, w.mode, w)
	}
	for range r.count(minClosureBytes) {
		c := closure{Closure{Mode: r.mode(), Token: Token(r.uint()), Until: r.logTime()}, r.position()}
		ln.closures = append(ln.closures, c)
		ln.closed.Add(c.Mode)
	}
	if ln.waiters.Len()+len(ln.closures) > 0 {
		l.line = ln
	}
	return l
}

func (r *reader) holder() grant {
	return grant{
		session: SessionID(r.uint()), owner: OwnerID(r.uint()), token: Token(r.uint()), floor: Token(r.uint()),
		since: r.position(), sinceTime: r.logTime(), waiter: WaiterID(r.uint()), until: r.logTime(),
		delay: r.span(MaxDelay), mode: r.mode(), count: r.uint32(), incarnation: r.uint32(),
	}
}

func (r *reader) waiter(path string) *waiter {
	id := r.uint()
	return &waiter{
		id: WaiterID(id), key: queue.Key{Rank: r.int(), Waiter: id}, path: path,
		session: SessionID(r.uint()), incarnation: r.uint32(), owner: OwnerID(r.uint()), mode: r.mode(),
		sequence: r.uint(), since: r.position(), sinceTime: r.logTime(), deadline: r.logTime(),
		hold: r.span(MaxHold), delay: r.span(MaxDelay),
	}
}

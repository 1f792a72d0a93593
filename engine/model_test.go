package engine

import (
	"cmp"
	"slices"
	"time"
)

// model is the engine as people say it: flat lists, no index, every question
// answered by looking at everything. It shares with the engine the types of its
// door, the static checks and the sentences, and nothing else.
type model struct {
	limits    Limits
	index     uint64
	term      uint64
	now       LogTime
	tenures   []LogTime
	counter   Token
	lastID    SessionID
	lastWait  WaiterID
	sessions  []*mSession
	grants    []*mGrant
	waits     []*mWait
	closures  []*mClosure
	histories map[string]*mHistory

	events    []Event
	remaining uint32
}

type mSession struct {
	id          SessionID
	incarnation uint32
	open        *OpenSession
	opened      Position
	state       SessionState
	ended, left bool
	silence     time.Duration
	takeOvers   []mTakeOver
	lastSeq     uint64
	acked       uint64
	kept        map[uint64]mKept
	outcomes    []WaitOutcome
	// shutOut is when a process that may have believed was taken over.
	shutOut *LogTime
}

type mTakeOver struct {
	nonce       uint64
	incarnation uint32
	at          Position
	lastSeq     uint64
}

type mKept struct {
	request Command // nil: whatever
	answer  Result
}

type mGrant struct {
	Grant
	delay       time.Duration
	incarnation uint32
}

type mWait struct {
	Waiter
	hold, delay time.Duration
	incarnation uint32
}

type mClosure struct {
	path  string
	since Position
	Closure
}

// mHistory is what was granted on a path since it was last free.
type mHistory struct {
	base   Token
	grants []Grant
}

func newModel(limits Limits) *model {
	return &model{limits: limits, histories: map[string]*mHistory{}}
}

func (m *model) apply(entry Entry) Outcome {
	m.index, m.term, m.now = entry.Index, entry.Term, max(m.now, entry.Time)
	m.events = []Event{}
	m.remaining = m.limits.FreedPerEntry
	for range m.limits.DuePerEntry {
		if !m.fireOne() {
			break
		}
	}
	for _, s := range slices.Clone(m.sessions) {
		if s.state == SessionExpired {
			m.free(s)
		}
	}
	out := Outcome{Results: []Result{}}
	for _, c := range entry.Commands {
		out.Results = append(out.Results, m.execute(c))
	}
	out.Events = m.events
	return out
}

func (m *model) emit(ev Event) Position {
	ev.Time, ev.Position = m.now, Position{m.index, uint32(len(m.events) + 1)}
	m.events = append(m.events, ev)
	return ev.Position
}

func (m *model) here() Position { return Position{m.index, uint32(len(m.events))} }

func (m *model) refuse(reason Reason) *Refused {
	return &Refused{Reason: reason, Detail: detail(reason, ""), Position: m.here()}
}

func (m *model) exhausted(limit string) *Refused {
	r := m.refuse(ReasonResourceExhausted)
	r.Limit, r.Detail, r.RetryAfter = limit, detail(r.Reason, limit), time.Second
	return r
}

// fireOne ends the one thing whose deadline is first, if it has passed.
func (m *model) fireOne() bool {
	type deadline struct {
		at    LogTime
		since Position
		fire  func()
	}
	var all []deadline
	for _, w := range m.waits {
		if w.Deadline != 0 {
			all = append(all, deadline{w.Deadline, w.Since, func() { m.endWait(w, EndWaitTimedOut) }})
		}
	}
	for _, g := range m.grants {
		if g.Until != 0 {
			all = append(all, deadline{g.Until, g.Since, func() { m.endGrant(g, EndHoldEnded) }})
		}
	}
	for _, c := range m.closures {
		all = append(all, deadline{c.Until, c.since, func() {
			m.closures = slices.DeleteFunc(m.closures, func(d *mClosure) bool { return d == c })
			m.emit(Event{Kind: EventReopened, Path: c.path, Mode: c.Mode, Token: c.Token})
			m.settle(c.path)
		}})
	}
	if len(all) == 0 {
		return false
	}
	first := slices.MinFunc(all, func(a, b deadline) int {
		return cmp.Or(cmp.Compare(a.at, b.at), a.since.Compare(b.since))
	})
	if first.at > m.now {
		return false
	}
	first.fire()
	return true
}

func (m *model) free(s *mSession) {
	reason := EndSessionExpired
	if s.ended {
		reason = EndSessionEnded
	}
	for _, w := range slices.Clone(m.waits) {
		if w.Session == s.id && m.remaining > 0 {
			m.remaining--
			m.endWait(w, reason)
		}
	}
	for _, g := range slices.Clone(m.grants) {
		if g.Session == s.id && m.remaining > 0 {
			m.remaining--
			m.endGrant(g, reason)
		}
	}
	if m.remaining > 0 {
		m.remaining--
		m.emit(Event{Kind: EventSessionGone, Session: s.id})
		m.sessions = slices.DeleteFunc(m.sessions, func(o *mSession) bool { return o == s })
	}
}

func (m *model) find(id SessionID) *mSession {
	for _, s := range m.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (m *model) living(id SessionID) (*mSession, *Refused) {
	s := m.find(id)
	if s == nil {
		return nil, m.refuse(ReasonSessionUnknown)
	}
	if s.state == SessionExpired {
		return nil, m.refuse(ReasonSessionExpired)
	}
	return s, nil
}

func (m *model) execute(c Command) Result {
	if bad := Check(c, m.limits); bad != nil {
		bad.Position = m.here()
		return bad
	}
	switch c := c.(type) {
	case *TakeOffice:
		if c.Term != m.term {
			return m.refuse(ReasonStaleTerm)
		}
		m.tenures = append(m.tenures, m.now)
		m.emit(Event{Kind: EventTenureBegan, Term: c.Term, Name: c.Node})
		return &OfficeTaken{Time: m.now}
	case *Tick:
		if c.Term != m.term {
			return m.refuse(ReasonStaleTerm)
		}
		return &Done{m.here()}
	case *OpenSession:
		return m.openSession(c)
	case *TakeOver:
		return m.takeOver(c)
	case *Silent:
		if c.Term != m.term {
			return m.refuse(ReasonStaleTerm)
		}
		s, refused := m.living(c.Session)
		if refused != nil {
			return refused
		}
		s.silence = min(s.silence+c.Observed, s.open.TTL)
		if s.state == SessionAlive {
			s.state = SessionJeopardy
			m.emit(Event{Kind: EventSessionJeopardy, Session: s.id})
		}
		return &Done{m.here()}
	case *Alive:
		if c.Term != m.term {
			return m.refuse(ReasonStaleTerm)
		}
		s, refused := m.living(c.Session)
		if refused != nil {
			return refused
		}
		if s.state == SessionJeopardy {
			s.state, s.silence = SessionAlive, 0
			m.emit(Event{Kind: EventSessionAlive, Session: s.id})
		}
		return &Done{m.here()}
	case *ExpireSession:
		if c.Term != m.term {
			return m.refuse(ReasonStaleTerm)
		}
		s, refused := m.living(c.Session)
		if refused != nil {
			return refused
		}
		s.state = SessionExpired
		m.emit(Event{Kind: EventSessionExpired, Session: s.id})
		m.free(s)
		return &Done{m.here()}
	default:
		return m.request(c)
	}
}

func (m *model) openSession(c *OpenSession) Result {
	for _, s := range m.sessions {
		if s.open.SecretHash != c.SecretHash {
			continue
		}
		switch {
		case s.open.Principal != c.Principal:
			return m.refuse(ReasonNotYours)
		case s.state == SessionExpired:
			return m.refuse(ReasonSessionExpired)
		case s.incarnation > 1 || s.left:
			return m.refuse(ReasonSessionSuperseded)
		}
		return &Opened{s.id, 1, s.open.TTL, s.open.Grace, s.opened}
	}
	if len(m.sessions) >= int(m.limits.Sessions) {
		return m.exhausted("sessions")
	}
	m.lastID++
	at := m.emit(Event{Kind: EventSessionOpened, Session: m.lastID, Incarnation: 1, Name: c.Principal})
	m.sessions = append(m.sessions, &mSession{
		id: m.lastID, incarnation: 1, open: c, opened: at, state: SessionAlive, kept: map[uint64]mKept{},
	})
	return &Opened{m.lastID, 1, c.TTL, c.Grace, at}
}

func (m *model) takeOver(c *TakeOver) Result {
	s, refused := m.living(c.Session)
	if refused != nil {
		return refused
	}
	if c.SecretHash != s.open.SecretHash || c.Principal != s.open.Principal {
		return m.refuse(ReasonNotYours)
	}
	remembered := s.takeOvers[max(0, len(s.takeOvers)-TakeOversKept):]
	for _, t := range remembered {
		if t.nonce == c.Nonce && (t.incarnation != s.incarnation || s.left) {
			return m.refuse(ReasonSessionSuperseded)
		}
		if t.nonce == c.Nonce {
			return m.takenOver(s)
		}
	}
	s.incarnation++
	if !s.left {
		now := m.now
		s.shutOut = &now
	}
	s.left = false
	s.kept = map[uint64]mKept{}
	s.acked = s.lastSeq
	at := m.emit(Event{Kind: EventSessionTakenOver, Session: s.id, Incarnation: s.incarnation})
	s.takeOvers = append(s.takeOvers, mTakeOver{c.Nonce, s.incarnation, at, s.lastSeq})
	return m.takenOver(s)
}

func (m *model) takenOver(s *mSession) Result {
	t := s.takeOvers[len(s.takeOvers)-1]
	return &TakenOver{t.incarnation, s.open.TTL, s.open.Grace, t.at, t.lastSeq, m.embargo(s)}
}

// embargo is how much longer it lasts: each tenure that began while it was pending
// restarted it, and so did the oldest tenure that is remembered, since what was
// before it is forgotten.
func (m *model) embargo(s *mSession) time.Duration {
	if s.shutOut == nil {
		return 0
	}
	end := *s.shutOut + LogTime(s.open.TTL)
	for i, began := range m.tenures {
		oldest := len(m.tenures) > 8 && i == len(m.tenures)-8
		if began > *s.shutOut && (began < end || oldest) {
			end = began + LogTime(s.open.TTL)
		}
	}
	return max(0, time.Duration(end-m.now))
}

func (m *model) underEmbargo(s *mSession) *Refused {
	left := m.embargo(s)
	if left == 0 {
		return nil
	}
	r := m.refuse(ReasonEmbargoed)
	r.RetryAfter = left
	return r
}

// sameRequest compares requests without their acknowledgements.
func sameRequest(a, b Command) bool {
	return a.Kind() == b.Kind() && string(appendBody(nil, a)) == string(appendBody(nil, b))
}

func (m *model) request(c Command) Result {
	r := requestOf(c)
	s, refused := m.living(r.Session)
	if refused != nil {
		return refused
	}
	if r.Incarnation < s.incarnation {
		return m.refuse(ReasonSessionSuperseded)
	}
	if r.Incarnation > s.incarnation {
		return &Refused{Reason: ReasonInvalid, Detail: "the incarnation lies in the future", Position: m.here()}
	}
	s.acked = max(s.acked, r.AckedThrough)
	for q := range s.kept {
		if q <= s.acked {
			delete(s.kept, q)
		}
	}
	s.outcomes = slices.DeleteFunc(s.outcomes, func(o WaitOutcome) bool { return o.Position.Compare(r.SeenThrough) <= 0 })
	if r.Sequence <= s.acked {
		return m.refuse(ReasonSequenceAcknowledged)
	}
	if r.Sequence > s.acked+64 {
		return m.refuse(ReasonSequenceWindow)
	}
	if k, found := s.kept[r.Sequence]; found {
		if k.request != nil && !sameRequest(k.request, c) {
			return m.refuse(ReasonSequenceReused)
		}
		return k.answer
	}
	if s.left {
		return m.refuse(ReasonSessionSuperseded)
	}
	answer := m.decide(s, c)
	if s.state == SessionExpired {
		return answer
	}
	s.kept[r.Sequence] = mKept{c, answer}
	s.lastSeq = max(s.lastSeq, r.Sequence)
	return answer
}

func (m *model) decide(s *mSession, c Command) Result {
	switch c := c.(type) {
	case *Acquire:
		return m.acquire(s, c)
	case *Release:
		return m.release(s, c)
	case *Cancel:
		return m.cancel(s, c)
	case *Leave:
		s.left = true
		m.emit(Event{Kind: EventSessionLeft, Session: s.id, Incarnation: s.incarnation})
		return &Done{m.here()}
	default:
		if refused := m.underEmbargo(s); refused != nil {
			return refused
		}
		s.state, s.ended = SessionExpired, true
		m.emit(Event{Kind: EventSessionEnded, Session: s.id})
		m.free(s)
		return &Done{m.here()}
	}
}

// clash is compatibility in the words of the book: two get on if both only read.
func clash(a, b Mode) bool { return a == Exclusive || b == Exclusive }

// blocked says whether a request by an owner, before which stand certain waiters,
// cannot be granted.
func (m *model) blocked(path string, session SessionID, owner OwnerID, mode Mode, before []*mWait) bool {
	for _, g := range m.grants {
		if g.Path == path && (clash(g.Mode, mode) || g.Session == session && g.Owner == owner) {
			return true
		}
	}
	for _, c := range m.closures {
		if c.path == path && clash(c.Mode, mode) {
			return true
		}
	}
	for _, w := range before {
		if clash(w.Mode, mode) {
			return true
		}
	}
	return false
}

func (m *model) queue(path string) (line []*mWait) {
	for _, w := range m.waits {
		if w.Path == path {
			line = append(line, w)
		}
	}
	return line
}

func (m *model) acquire(s *mSession, c *Acquire) Result {
	for _, g := range m.grants {
		if g.Path != c.Path || g.Session != s.id || g.Owner != c.Owner || g.Until != 0 && g.Until <= m.now {
			continue
		}
		if g.Mode != c.Mode {
			return m.refuse(ReasonConversion)
		}
		g.Count++
		m.emit(Event{Kind: EventReentered, Path: g.Path, Session: s.id, Owner: g.Owner, Mode: g.Mode, Token: g.Token, Count: g.Count})
		answer := &Granted{Grant: g.Grant, Position: m.here()}
		if g.Until != 0 {
			answer.HoldRemaining = time.Duration(g.Until - m.now)
		}
		return answer
	}
	mine, wanted := 0, len(s.outcomes)
	for _, w := range m.waits {
		if w.Session == s.id {
			mine++
			wanted++
			if w.Path == c.Path && w.Owner == c.Owner {
				return m.refuse(ReasonAlreadyWaiting)
			}
		}
	}
	line := m.queue(c.Path)
	requests := len(line)
	free := requests == 0
	blocked := m.blocked(c.Path, s.id, c.Owner, c.Mode, line)
	var holder Grant
	for _, g := range m.grants {
		if g.Session == s.id {
			mine++
		}
		if g.Path == c.Path {
			requests++
			free = false
			if holder.Path == "" && clash(g.Mode, c.Mode) {
				holder = g.Grant
			}
		}
	}
	for _, cl := range m.closures {
		if cl.path == c.Path {
			requests++
			free = false
		}
	}
	if blocked && c.Wait == NoWait {
		r := m.refuse(ReasonHeld)
		r.Holder = holder
		return r
	}
	switch {
	case free && len(m.histories) >= int(m.limits.Locks):
		return m.exhausted("locks")
	case requests >= int(m.limits.RequestsPerLock):
		return m.exhausted("requests per lock")
	case mine >= int(m.limits.PossessionsPerSession):
		return m.exhausted("possessions per session")
	case blocked && wanted >= int(m.limits.WaitsPerSession):
		return m.exhausted("waits per session")
	}
	if blocked {
		m.lastWait++
		w := &mWait{hold: c.Hold, delay: c.Delay, incarnation: s.incarnation}
		w.Waiter = Waiter{ID: m.lastWait, Path: c.Path, Session: s.id, Owner: c.Owner, Mode: c.Mode, Sequence: c.Sequence, SinceTime: m.now}
		if c.Wait != WaitForever {
			w.Deadline = m.now + LogTime(c.Wait)
		}
		w.Since = m.emit(Event{
			Kind: EventQueued, Path: c.Path, Session: s.id, Owner: c.Owner, Mode: c.Mode, Waiter: w.ID, Sequence: c.Sequence, Until: w.Deadline,
		})
		m.waits = append(m.waits, w)
		return &Queued{w.ID, m.here(), uint32(len(line))}
	}
	if free {
		m.histories[c.Path] = &mHistory{base: m.counter}
	}
	g := m.grant(&mGrant{
		Grant: Grant{Path: c.Path, Session: s.id, Owner: c.Owner, Mode: c.Mode},
		delay: c.Delay, incarnation: s.incarnation,
	}, c.Hold, 0)
	return &Granted{Grant: g.Grant, HoldRemaining: c.Hold, Position: m.here()}
}

// grant makes a grant of a request.
func (m *model) grant(g *mGrant, hold time.Duration, sequence uint64) *mGrant {
	m.counter++
	g.Token, g.Count, g.SinceTime = m.counter, 1, m.now
	if hold != 0 {
		g.Until = m.now + LogTime(hold)
	}
	h := m.histories[g.Path]
	g.Floor = h.base
	for _, before := range h.grants {
		if clash(before.Mode, g.Mode) {
			g.Floor = max(g.Floor, before.Token)
		}
	}
	g.Since = m.emit(Event{
		Kind: EventGranted, Path: g.Path, Session: g.Session, Owner: g.Owner, Mode: g.Mode, Token: g.Token, Floor: g.Floor,
		Count: 1, Until: g.Until, Waiter: g.Waiter, Sequence: sequence,
	})
	h.grants = append(h.grants, g.Grant)
	m.grants = append(m.grants, g)
	return g
}

// settle grants whoever can be granted on a path, one after the other, and forgets
// the path when it is free.
func (m *model) settle(path string) {
again:
	for i, w := range m.queue(path) {
		s := m.find(w.Session)
		if w.Deadline != 0 && w.Deadline <= m.now || s.state == SessionExpired {
			continue
		}
		if m.blocked(path, w.Session, w.Owner, w.Mode, m.queue(path)[:i]) {
			continue
		}
		m.waits = slices.DeleteFunc(m.waits, func(o *mWait) bool { return o == w })
		g := m.grant(&mGrant{
			Grant: Grant{Path: path, Session: w.Session, Owner: w.Owner, Mode: w.Mode, Waiter: w.ID},
			delay: w.delay, incarnation: w.incarnation,
		}, w.hold, w.Sequence)
		s.outcomes = append(s.outcomes, WaitOutcome{Waiter: w.ID, Sequence: w.Sequence, Token: g.Token, Position: g.Since})
		goto again
	}
	if len(m.queue(path)) > 0 {
		return
	}
	for _, g := range m.grants {
		if g.Path == path {
			return
		}
	}
	for _, c := range m.closures {
		if c.path == path {
			return
		}
	}
	delete(m.histories, path)
}

func (m *model) endWait(w *mWait, reason EndReason) {
	m.waits = slices.DeleteFunc(m.waits, func(o *mWait) bool { return o == w })
	at := m.emit(Event{
		Kind: EventWaitEnded, Path: w.Path, Session: w.Session, Owner: w.Owner, Mode: w.Mode, Waiter: w.ID, Sequence: w.Sequence, Reason: reason,
	})
	s := m.find(w.Session)
	s.outcomes = append(s.outcomes, WaitOutcome{Waiter: w.ID, Sequence: w.Sequence, Reason: reason, Position: at})
	m.settle(w.Path)
}

func (m *model) endGrant(g *mGrant, reason EndReason) {
	m.grants = slices.DeleteFunc(m.grants, func(o *mGrant) bool { return o == g })
	m.emit(Event{Kind: EventGrantEnded, Path: g.Path, Session: g.Session, Owner: g.Owner, Mode: g.Mode, Token: g.Token, Reason: reason})
	if g.delay != 0 && reason != EndReleased && reason != EndSessionEnded {
		c := &mClosure{path: g.Path, Closure: Closure{g.Mode, g.Token, m.now + LogTime(g.delay)}}
		c.since = m.emit(Event{Kind: EventClosed, Path: g.Path, Mode: g.Mode, Token: g.Token, Until: c.Until})
		m.closures = append(m.closures, c)
	}
	m.settle(g.Path)
}

func (m *model) release(s *mSession, c *Release) Result {
	for _, g := range m.grants {
		if g.Path != c.Path || g.Token != c.Token || g.Session != s.id || g.Owner != c.Owner {
			continue
		}
		if g.incarnation < s.incarnation {
			if refused := m.underEmbargo(s); refused != nil {
				return refused
			}
		}
		if g.Count == 1 {
			m.endGrant(g, EndReleased)
			return &Released{Position: m.here()}
		}
		g.Count--
		m.emit(Event{Kind: EventLeftOnce, Path: g.Path, Session: s.id, Owner: g.Owner, Mode: g.Mode, Token: g.Token, Count: g.Count})
		return &Released{Remaining: g.Count, Position: m.here()}
	}
	return m.refuse(ReasonNotHolder)
}

func (m *model) cancel(s *mSession, c *Cancel) Result {
	for _, w := range m.waits {
		if w.Session == s.id && w.Sequence == c.Target {
			m.endWait(w, EndCancelled)
			return &Cancelled{Outcome: Withdrawn, Position: m.here()}
		}
	}
	var token Token
	known := false
	if k, found := s.kept[c.Target]; found {
		known = true
		switch a := k.answer.(type) {
		case *Granted:
			token = a.Grant.Token
		case *Refused:
			if a.Reason == ReasonCancelled {
				return &Cancelled{Outcome: NeverExecuted, Position: m.here()}
			}
		}
	}
	for _, o := range s.outcomes {
		if o.Sequence == c.Target {
			token, known = o.Token, true
		}
	}
	if !known && c.Target <= s.acked {
		return m.refuse(ReasonSequenceAcknowledged)
	}
	if !known && c.Target > s.acked+64 {
		return m.refuse(ReasonSequenceWindow)
	}
	if !known {
		s.kept[c.Target] = mKept{nil, m.refuse(ReasonCancelled)}
		s.lastSeq = max(s.lastSeq, c.Target)
		return &Cancelled{Outcome: NeverExecuted, Position: m.here()}
	}
	for _, g := range m.grants {
		if g.Token == token && g.Session == s.id {
			answer := &Cancelled{Outcome: WasGranted, Grant: g.Grant, Position: m.here()}
			if g.Until != 0 {
				answer.HoldRemaining = max(0, time.Duration(g.Until-m.now))
			}
			return answer
		}
	}
	return &Cancelled{Outcome: WasEnded, Position: m.here()}
}

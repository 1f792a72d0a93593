package client

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
	"lockstep/transport/clocks"
	"lockstep/transport/simnet"
)

// mono is the virtual time of the test.
var mono = clockwork.NewRealClock()

// service is a stand-in for a cluster: one state, answered by as many nodes as
// wanted, with the faults that a real cluster can hardly be made to show.
type service struct {
	ctx       context.Context
	mu        sync.Mutex
	net       *simnet.Net
	index     uint64
	lineage   uint64
	lastToken uint64
	lastID    uint64
	leader    string
	nodes     []*lockstepv1.Member
	sessions  map[uint64]*fakeSession
	locks     map[string]*fakeLock
	// executed counts the effects of mutating requests, by session and sequence.
	executed map[[2]uint64]int
	// embargo is what take-overs forbid weakening for.
	embargo time.Duration

	// intercept, if set, sees every request; true swallows it unexecuted.
	intercept func(*lockstepv1.ClientFrame) bool
	// swallow, if set, sees every answer; true drops it.
	swallow func(*lockstepv1.NodeFrame) bool
	// beat, if set, sees every bundle; false leaves it unanswered.
	beat func(*lockstepv1.HeartbeatRequest) bool
	// problem, if set, is the answer to everything.
	problem *lockstepv1.Problem
	// mute pushes nothing.
	mute bool
	// watchFrames, if set, answers each watch that is started.
	onWatch func(*fakeStream, *lockstepv1.StartWatch)
}

type fakeSession struct {
	info      *lockstepv1.SessionInfo
	secret    []byte
	answers   map[uint64]*lockstepv1.NodeFrame
	acked     uint64
	cancelled map[uint64]bool
	ended     []*lockstepv1.WaitOutcome
	on        *fakeStream
	expiry    clockwork.Timer
	embargo   time.Time
	grantsAt  *lockstepv1.Position
}

type fakeLock struct {
	holders []*lockstepv1.Grant
	ends    map[uint64]time.Time // of holds, by token
	queue   []*fakeWaiter
}

type fakeWaiter struct {
	waiter *lockstepv1.Waiter
	hold   time.Duration
	timer  clockwork.Timer
}

type fakeStream struct {
	s     *service
	out   *transport.FrameWriter
	bound map[uint64]bool
}

func newService(t *testing.T, nodes ...string) *service {
	t.Helper()
	s := &service{
		ctx:      t.Context(),
		net:      simnet.New(realClocks(), simnet.DefaultConfig()),
		lineage:  7,
		sessions: make(map[uint64]*fakeSession), locks: make(map[string]*fakeLock), executed: make(map[[2]uint64]int),
	}
	for _, n := range nodes {
		s.nodes = append(s.nodes, &lockstepv1.Member{Node: n, Address: n + ":1", Voter: true})
		s.start(n)
	}
	s.leader = nodes[0]
	return s
}

// start lets a node listen, on a host of its name.
func (s *service) start(node string) {
	host := s.net.Host(node, simnet.AsNode(node))
	s.listen(host)
}

func (s *service) listen(host *simnet.Host) {
	l, err := host.Listen(host.Name() + ":1")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept(s.ctx)
			if err != nil {
				return
			}
			go s.accept(host.Name(), c)
		}
	}()
}

func (s *service) accept(node string, c transport.Conn) {
	bound := make(map[uint64]bool)
	for {
		stream, err := c.AcceptStream(s.ctx)
		if err != nil {
			return
		}
		go s.serve(node, stream, bound)
	}
}

func (s *service) serve(node string, stream transport.Stream, bound map[uint64]bool) {
	frames := transport.NewFrameReader(stream, 1<<20)
	hello := new(lockstepv1.Hello)
	if transport.ReadMessage(frames, hello) != nil {
		return
	}
	out := &fakeStream{s: s, out: transport.NewFrameWriter(stream, 1<<24), bound: bound}
	defer out.out.Fail(transport.ErrClosed)
	if !out.welcome(node, hello) {
		_ = out.out.Close(s.ctx)
		_ = stream.CloseWrite()
		return
	}
	for {
		payload, err := frames.Read()
		if err != nil {
			return
		}
		switch stream.Purpose() {
		case transport.PurposeOps:
			f := new(lockstepv1.ClientFrame)
			must(transport.DecodeMessage(payload, f))
			out.request(node, f)
		case transport.PurposeHeartbeat:
			f := new(lockstepv1.HeartbeatRequest)
			must(transport.DecodeMessage(payload, f))
			out.heartbeats(f)
		case transport.PurposeWatch:
			f := new(lockstepv1.WatchRequest)
			must(transport.DecodeMessage(payload, f))
			s.mu.Lock()
			on := s.onWatch
			s.mu.Unlock()
			if start := f.GetStart(); start != nil && on != nil {
				on(out, start)
			}
		case transport.PurposeRaft, transport.PurposeBulk:
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (o *fakeStream) welcome(node string, hello *lockstepv1.Hello) bool {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	w := &lockstepv1.Welcome{Version: 1, Cluster: "test", Lineage: o.s.lineage, Node: node, Members: o.s.nodes}
	for _, m := range o.s.nodes {
		if m.GetNode() == o.s.leader {
			w.Leader = m
		}
	}
	switch {
	case hello.GetCluster() != "" && hello.GetCluster() != "test":
		w.Problem = &lockstepv1.Problem{Code: lockstepv1.Code_CODE_WRONG_CLUSTER}
	case hello.GetLineage() != 0 && hello.GetLineage() != o.s.lineage:
		w.Problem = &lockstepv1.Problem{Code: lockstepv1.Code_CODE_WRONG_LINEAGE}
	}
	_ = o.out.TryEnqueueMessage(w)
	return w.GetProblem() == nil
}

func (o *fakeStream) send(f *lockstepv1.NodeFrame) {
	if f.GetId() != 0 && o.s.swallow != nil && o.s.swallow(f) {
		return
	}
	_ = o.out.TryEnqueueMessage(f)
}

func (o *fakeStream) heartbeats(r *lockstepv1.HeartbeatRequest) {
	s := o.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.beat != nil && !s.beat(r) {
		return
	}
	reply := &lockstepv1.HeartbeatReply{Id: r.GetId(), Problem: s.problem}
	for _, h := range r.GetHeartbeats() {
		result := &lockstepv1.HeartbeatResult{Session: h.GetSession(), Verdict: lockstepv1.HeartbeatResult_VERDICT_ALIVE}
		x := s.sessions[h.GetSession()]
		switch {
		case x == nil:
			result.Verdict = lockstepv1.HeartbeatResult_VERDICT_GONE
		case !o.bound[h.GetSession()]:
			result.Verdict = lockstepv1.HeartbeatResult_VERDICT_NOT_BOUND
		case x.info.GetIncarnation() != h.GetIncarnation():
			result.Verdict = lockstepv1.HeartbeatResult_VERDICT_SUPERSEDED
		default:
			result.TtlNs, result.GraceNs, result.GrantsPosition = x.info.GetTtlNs(), x.info.GetGraceNs(), x.grantsAt
			if s.problem == nil {
				x.expiry.Reset(time.Duration(x.info.GetTtlNs()))
			}
		}
		reply.Results = append(reply.Results, result)
	}
	_ = o.out.TryEnqueueMessage(reply)
}

func (s *service) at() *lockstepv1.Position {
	s.index++
	return &lockstepv1.Position{Index: s.index, N: 1}
}

// request decides one request at once.
func (o *fakeStream) request(node string, f *lockstepv1.ClientFrame) {
	s := o.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := f.GetGetStatus(); st != nil {
		status := &lockstepv1.Status{Node: node, Cluster: "test", Lineage: s.lineage}
		for _, m := range s.nodes {
			if m.GetNode() == s.leader {
				status.Leader = m
			}
		}
		o.send(&lockstepv1.NodeFrame{Id: f.GetId(), Body: &lockstepv1.NodeFrame_Status{Status: status}})
		return
	}
	if s.problem != nil {
		o.send(&lockstepv1.NodeFrame{Id: f.GetId(), Body: &lockstepv1.NodeFrame_Problem{Problem: s.problem}})
		return
	}
	if s.intercept != nil && s.intercept(f) {
		return
	}
	answer := o.decide(f)
	answer.Id = f.GetId()
	o.send(answer)
}

func refusal(reason lockstepv1.Reason) *lockstepv1.NodeFrame {
	return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Refusal{Refusal: &lockstepv1.Refusal{Reason: reason}}}
}

func (o *fakeStream) decide(f *lockstepv1.ClientFrame) *lockstepv1.NodeFrame {
	s := o.s
	switch b := f.GetBody().(type) {
	case *lockstepv1.ClientFrame_OpenSession:
		return o.open(b.OpenSession)
	case *lockstepv1.ClientFrame_BindSession:
		x := s.sessions[b.BindSession.GetSession()]
		switch {
		case x == nil:
			return refusal(lockstepv1.Reason_REASON_SESSION_UNKNOWN)
		case x.info.GetIncarnation() != b.BindSession.GetIncarnation():
			return refusal(lockstepv1.Reason_REASON_SESSION_SUPERSEDED)
		}
		x.on, o.bound[x.info.GetSession()] = o, true
		return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_SessionBound{SessionBound: &lockstepv1.SessionBound{
			TtlNs: x.info.GetTtlNs(), GraceNs: x.info.GetGraceNs(), Position: &lockstepv1.Position{Index: s.index, N: ^uint32(0)},
		}}}
	case *lockstepv1.ClientFrame_TakeOverSession:
		x := s.sessions[b.TakeOverSession.GetSession()]
		switch {
		case x == nil:
			return refusal(lockstepv1.Reason_REASON_SESSION_UNKNOWN)
		case !bytes.Equal(x.secret, b.TakeOverSession.GetSecret()):
			return refusal(lockstepv1.Reason_REASON_NOT_YOURS)
		}
		x.info.Incarnation++
		at := s.at()
		s.push(x, &lockstepv1.Event{Kind: lockstepv1.EventKind_EVENT_KIND_SESSION_TAKEN_OVER, Position: at, Incarnation: x.info.GetIncarnation()})
		x.on, o.bound[x.info.GetSession()] = o, true
		x.embargo = mono.Now().Add(s.embargo)
		last := uint64(0)
		for seq := range x.answers {
			last = max(last, seq)
		}
		x.answers = make(map[uint64]*lockstepv1.NodeFrame)
		x.acked = last
		return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_SessionTakenOver{SessionTakenOver: &lockstepv1.SessionTakenOver{
			Incarnation: x.info.GetIncarnation(), TtlNs: x.info.GetTtlNs(), GraceNs: x.info.GetGraceNs(), Position: at, LastSequence: last,
		}}}
	case *lockstepv1.ClientFrame_GetSession:
		x := s.sessions[b.GetSession.GetSession()]
		if x == nil {
			return refusal(lockstepv1.Reason_REASON_SESSION_UNKNOWN)
		}
		return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_SessionState{SessionState: s.state(x)}}
	case *lockstepv1.ClientFrame_Validate:
		v := b.Validate
		held := s.find(v.GetPath(), v.GetToken()) != nil
		return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Validated{Validated: &lockstepv1.Validated{Held: held}}}
	case *lockstepv1.ClientFrame_ListLocks:
		return s.listLocks(b.ListLocks)
	case *lockstepv1.ClientFrame_Acquire:
		return o.sequenced(b.Acquire.GetHeader(), func(x *fakeSession) *lockstepv1.NodeFrame { return s.acquire(x, b.Acquire) })
	case *lockstepv1.ClientFrame_Release:
		return o.sequenced(b.Release.GetHeader(), func(x *fakeSession) *lockstepv1.NodeFrame { return s.release(x, b.Release) })
	case *lockstepv1.ClientFrame_Cancel:
		return o.sequenced(b.Cancel.GetHeader(), func(x *fakeSession) *lockstepv1.NodeFrame { return s.cancel(x, b.Cancel.GetTarget()) })
	case *lockstepv1.ClientFrame_EndSession:
		return o.sequenced(b.EndSession.GetHeader(), func(x *fakeSession) *lockstepv1.NodeFrame {
			s.expire(x, lockstepv1.EndReason_END_REASON_SESSION_ENDED)
			return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Done{Done: &lockstepv1.Done{Position: s.at()}}}
		})
	case *lockstepv1.ClientFrame_LeaveSession:
		return o.sequenced(b.LeaveSession.GetHeader(), func(*fakeSession) *lockstepv1.NodeFrame {
			return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Done{Done: &lockstepv1.Done{Position: s.at()}}}
		})
	}
	return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Problem{Problem: &lockstepv1.Problem{Code: lockstepv1.Code_CODE_INVALID, Detail: "not served here"}}}
}

func (o *fakeStream) open(m *lockstepv1.OpenSession) *lockstepv1.NodeFrame {
	s := o.s
	var x *fakeSession
	for _, other := range s.sessions {
		if bytes.Equal(other.secret, m.GetSecret()) {
			x = other
		}
	}
	if x == nil {
		s.lastID++
		x = &fakeSession{
			info:   &lockstepv1.SessionInfo{Session: s.lastID, Incarnation: 1, TtlNs: m.GetTtlNs(), GraceNs: m.GetGraceNs(), Label: m.GetLabel()},
			secret: m.GetSecret(), answers: make(map[uint64]*lockstepv1.NodeFrame), cancelled: make(map[uint64]bool),
		}
		x.grantsAt = s.at()
		s.sessions[s.lastID] = x
		x.expiry = mono.AfterFunc(time.Duration(m.GetTtlNs()), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.expire(x, lockstepv1.EndReason_END_REASON_SESSION_EXPIRED)
		})
	}
	x.on, o.bound[x.info.GetSession()] = o, true
	return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_SessionOpened{SessionOpened: &lockstepv1.SessionOpened{
		Session: x.info.GetSession(), Incarnation: 1, TtlNs: m.GetTtlNs(), GraceNs: m.GetGraceNs(),
		Position: &lockstepv1.Position{Index: s.index, N: ^uint32(0)},
	}}}
}

// sequenced executes a request once and keeps its answer.
func (o *fakeStream) sequenced(h *lockstepv1.RequestHeader, do func(*fakeSession) *lockstepv1.NodeFrame) *lockstepv1.NodeFrame {
	s := o.s
	x := s.sessions[h.GetSession()]
	switch {
	case x == nil:
		return refusal(lockstepv1.Reason_REASON_SESSION_EXPIRED)
	case !o.bound[h.GetSession()]:
		return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Problem{Problem: &lockstepv1.Problem{Code: lockstepv1.Code_CODE_NOT_BOUND}}}
	case h.GetIncarnation() != x.info.GetIncarnation():
		return refusal(lockstepv1.Reason_REASON_SESSION_SUPERSEDED)
	}
	for x.acked < h.GetAcknowledgedThrough() {
		x.acked++
		delete(x.answers, x.acked)
	}
	seen := position(h.GetSeenThrough())
	x.ended = slices.DeleteFunc(x.ended, func(w *lockstepv1.WaitOutcome) bool { return position(w.GetPosition()).Compare(seen) <= 0 })
	if h.GetSequence() <= x.acked {
		return refusal(lockstepv1.Reason_REASON_SEQUENCE_ACKNOWLEDGED)
	}
	if h.GetSequence() > x.acked+MaxOutstanding {
		return refusal(lockstepv1.Reason_REASON_SEQUENCE_WINDOW)
	}
	if a := x.answers[h.GetSequence()]; a != nil {
		return clone(a)
	}
	if x.cancelled[h.GetSequence()] {
		return refusal(lockstepv1.Reason_REASON_CANCELLED)
	}
	s.executed[[2]uint64{h.GetSession(), h.GetSequence()}]++
	a := do(x)
	x.answers[h.GetSequence()] = a
	return clone(a)
}

func clone(f *lockstepv1.NodeFrame) *lockstepv1.NodeFrame {
	return &lockstepv1.NodeFrame{Body: f.GetBody()}
}

func (s *service) lock(path string) *fakeLock {
	l := s.locks[path]
	if l == nil {
		l = &fakeLock{ends: make(map[uint64]time.Time)}
		s.locks[path] = l
	}
	return l
}

func compatible(a, b lockstepv1.Mode) bool {
	return a == lockstepv1.Mode_MODE_SHARED && b == lockstepv1.Mode_MODE_SHARED
}

func (l *fakeLock) free(mode lockstepv1.Mode) bool {
	for _, h := range l.holders {
		if !compatible(h.GetMode(), mode) {
			return false
		}
	}
	return true
}

func (s *service) acquire(x *fakeSession, m *lockstepv1.Acquire) *lockstepv1.NodeFrame {
	l := s.lock(m.GetPath())
	id := x.info.GetSession()
	for _, h := range l.holders {
		if h.GetSession() == id && h.GetOwner() == m.GetOwner() {
			if h.GetMode() != m.GetMode() {
				return refusal(lockstepv1.Reason_REASON_CONVERSION)
			}
			h.Count++
			x.grantsAt = s.at()
			return granted(h, l, x.grantsAt)
		}
	}
	if len(l.queue) == 0 && l.free(m.GetMode()) {
		g := s.grant(x, l, m.GetPath(), m.GetOwner(), m.GetMode(), time.Duration(m.GetHoldNs()), 0)
		return granted(g, l, x.grantsAt)
	}
	if m.GetWaitNs() == 0 {
		f := refusal(lockstepv1.Reason_REASON_HELD)
		f.GetRefusal().Holder = l.holders[0]
		return f
	}
	s.lastID++
	w := &fakeWaiter{hold: time.Duration(m.GetHoldNs()), waiter: &lockstepv1.Waiter{
		Waiter: s.lastID, Path: m.GetPath(), Session: id, Owner: m.GetOwner(), Mode: m.GetMode(),
		Sequence: m.GetHeader().GetSequence(), Since: s.at(),
	}}
	l.queue = append(l.queue, w)
	if m.GetWaitNs() > 0 {
		w.timer = mono.AfterFunc(time.Duration(m.GetWaitNs()), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.endWait(w, lockstepv1.EndReason_END_REASON_WAIT_TIMED_OUT)
		})
	}
	return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Queued{Queued: &lockstepv1.Queued{Waiter: w.waiter.GetWaiter(), Position: w.waiter.GetSince()}}}
}

func granted(g *lockstepv1.Grant, l *fakeLock, at *lockstepv1.Position) *lockstepv1.NodeFrame {
	m := &lockstepv1.Granted{Grant: g, Position: at}
	if end, ok := l.ends[g.GetToken()]; ok {
		m.HoldRemainingNs = int64(mono.Until(end))
	}
	return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Granted{Granted: m}}
}

func (s *service) grant(x *fakeSession, l *fakeLock, path string, owner uint64, mode lockstepv1.Mode, hold time.Duration, waiter uint64) *lockstepv1.Grant {
	floor := s.lastToken
	s.lastToken++
	x.grantsAt = s.at()
	g := &lockstepv1.Grant{
		Path: path, Session: x.info.GetSession(), Owner: owner, Mode: mode, Token: s.lastToken,
		Floor: floor, Count: 1, Since: x.grantsAt, Waiter: waiter,
	}
	l.holders = append(l.holders, g)
	if hold > 0 {
		g.UntilNs = uint64(mono.Now().Add(hold).UnixNano())
		l.ends[g.GetToken()] = mono.Now().Add(hold)
		mono.AfterFunc(hold, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.find(path, g.GetToken()) != nil {
				s.endGrant(g, lockstepv1.EndReason_END_REASON_HOLD_ENDED)
			}
		})
	}
	return g
}

func (s *service) find(path string, token uint64) *lockstepv1.Grant {
	for _, h := range s.lock(path).holders {
		if h.GetToken() == token {
			return h
		}
	}
	return nil
}

func (s *service) endGrant(g *lockstepv1.Grant, reason lockstepv1.EndReason) {
	l := s.lock(g.GetPath())
	l.holders = slices.DeleteFunc(l.holders, func(h *lockstepv1.Grant) bool { return h == g })
	at := s.at()
	if x := s.sessions[g.GetSession()]; x != nil {
		x.grantsAt = at
		if reason != lockstepv1.EndReason_END_REASON_RELEASED {
			s.push(x, &lockstepv1.Event{Kind: lockstepv1.EventKind_EVENT_KIND_GRANT_ENDED, Position: at, Path: g.GetPath(), Token: g.GetToken(), Reason: reason})
		}
	}
	s.wake(l)
}

// wake grants to whoever is first, in order.
func (s *service) wake(l *fakeLock) {
	for len(l.queue) > 0 && l.free(l.queue[0].waiter.GetMode()) {
		w := l.queue[0]
		l.queue = l.queue[1:]
		if w.timer != nil {
			w.timer.Stop()
		}
		x := s.sessions[w.waiter.GetSession()]
		g := s.grant(x, l, w.waiter.GetPath(), w.waiter.GetOwner(), w.waiter.GetMode(), w.hold, w.waiter.GetWaiter())
		x.ended = append(x.ended, &lockstepv1.WaitOutcome{Waiter: w.waiter.GetWaiter(), Sequence: w.waiter.GetSequence(), Token: g.GetToken(), Position: x.grantsAt})
		s.push(x, &lockstepv1.Event{
			Kind: lockstepv1.EventKind_EVENT_KIND_GRANTED, Position: x.grantsAt, Path: g.GetPath(), Session: g.GetSession(), Owner: g.GetOwner(),
			Mode: g.GetMode(), Token: g.GetToken(), Floor: g.GetFloor(), Count: 1, Waiter: w.waiter.GetWaiter(), Sequence: w.waiter.GetSequence(), UntilNs: g.GetUntilNs(),
		})
	}
}

func (s *service) endWait(w *fakeWaiter, reason lockstepv1.EndReason) bool {
	l := s.lock(w.waiter.GetPath())
	i := slices.Index(l.queue, w)
	if i < 0 {
		return false
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	at := s.at()
	if x := s.sessions[w.waiter.GetSession()]; x != nil && reason != lockstepv1.EndReason_END_REASON_CANCELLED {
		x.ended = append(x.ended, &lockstepv1.WaitOutcome{Waiter: w.waiter.GetWaiter(), Sequence: w.waiter.GetSequence(), Reason: reason, Position: at})
		s.push(x, &lockstepv1.Event{Kind: lockstepv1.EventKind_EVENT_KIND_WAIT_ENDED, Position: at, Sequence: w.waiter.GetSequence(), Reason: reason})
	}
	s.wake(l)
	return true
}

func (s *service) release(x *fakeSession, m *lockstepv1.Release) *lockstepv1.NodeFrame {
	if left := mono.Until(x.embargo); left > 0 {
		f := refusal(lockstepv1.Reason_REASON_EMBARGOED)
		f.GetRefusal().RetryAfterNs = int64(left)
		return f
	}
	g := s.find(m.GetPath(), m.GetToken())
	if g == nil || g.GetSession() != x.info.GetSession() || g.GetOwner() != m.GetOwner() {
		return refusal(lockstepv1.Reason_REASON_NOT_HOLDER)
	}
	if g.Count--; g.GetCount() == 0 {
		s.endGrant(g, lockstepv1.EndReason_END_REASON_RELEASED)
	} else {
		x.grantsAt = s.at()
	}
	return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Released{Released: &lockstepv1.Released{Remaining: g.GetCount(), Position: x.grantsAt}}}
}

func (s *service) cancel(x *fakeSession, target uint64) *lockstepv1.NodeFrame {
	c := &lockstepv1.Cancelled{Outcome: lockstepv1.Cancelled_OUTCOME_NEVER_EXECUTED}
	for _, l := range s.locks {
		for _, w := range l.queue {
			if w.waiter.GetSession() == x.info.GetSession() && w.waiter.GetSequence() == target {
				s.endWait(w, lockstepv1.EndReason_END_REASON_CANCELLED)
				c.Outcome, c.Position = lockstepv1.Cancelled_OUTCOME_WITHDRAWN, s.at()
				return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Cancelled{Cancelled: c}}
			}
		}
	}
	token := uint64(0)
	for _, w := range x.ended {
		if w.GetSequence() == target {
			token = w.GetToken()
			c.Outcome = lockstepv1.Cancelled_OUTCOME_ENDED
		}
	}
	if a := x.answers[target]; a.GetGranted() != nil {
		token = a.GetGranted().GetGrant().GetToken()
		c.Outcome = lockstepv1.Cancelled_OUTCOME_ENDED
	}
	for path := range s.locks {
		if g := s.find(path, token); token != 0 && g != nil {
			c.Outcome, c.Grant = lockstepv1.Cancelled_OUTCOME_GRANTED, g
		}
	}
	if c.GetOutcome() == lockstepv1.Cancelled_OUTCOME_NEVER_EXECUTED {
		x.cancelled[target] = true
	}
	c.Position = s.at()
	return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_Cancelled{Cancelled: c}}
}

func (s *service) state(x *fakeSession) *lockstepv1.SessionState {
	st := &lockstepv1.SessionState{Session: x.info, Ended: x.ended, Position: &lockstepv1.Position{Index: s.index, N: ^uint32(0)}}
	for _, l := range s.locks {
		for _, h := range l.holders {
			if h.GetSession() == x.info.GetSession() {
				hg := &lockstepv1.HeldGrant{Grant: h}
				if end, ok := l.ends[h.GetToken()]; ok {
					hg.HoldRemainingNs = int64(mono.Until(end))
				}
				st.Grants = append(st.Grants, hg)
			}
		}
		for _, w := range l.queue {
			if w.waiter.GetSession() == x.info.GetSession() {
				st.Waiters = append(st.Waiters, w.waiter)
			}
		}
	}
	return st
}

func (s *service) listLocks(m *lockstepv1.ListLocks) *lockstepv1.NodeFrame {
	var paths []string
	for p := range s.locks {
		if p > m.GetAfter() {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	list := &lockstepv1.LockList{Info: &lockstepv1.ReadInfo{Node: s.leader, Linearizable: m.GetConsistency() == nil, Position: &lockstepv1.Position{Index: s.index, N: 9}}}
	for i, p := range paths {
		if uint32(i) == m.GetLimit() {
			list.More = true
			break
		}
		list.Locks = append(list.Locks, &lockstepv1.Lock{Path: p, Holders: s.locks[p].holders})
	}
	return &lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_LockList{LockList: list}}
}

func (s *service) expire(x *fakeSession, reason lockstepv1.EndReason) {
	delete(s.sessions, x.info.GetSession())
	x.expiry.Stop()
	for _, l := range s.locks {
		l.queue = slices.DeleteFunc(l.queue, func(w *fakeWaiter) bool { return w.waiter.GetSession() == x.info.GetSession() })
		for _, h := range slices.Clone(l.holders) {
			if h.GetSession() == x.info.GetSession() {
				s.endGrant(h, reason)
			}
		}
	}
	s.push(x, &lockstepv1.Event{Kind: lockstepv1.EventKind_EVENT_KIND_SESSION_EXPIRED, Position: s.at()})
}

func (s *service) push(x *fakeSession, e *lockstepv1.Event) {
	if s.mute || x.on == nil {
		return
	}
	e.Session = x.info.GetSession()
	_ = x.on.out.TryEnqueueMessage(&lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_SessionEvents{SessionEvents: &lockstepv1.SessionEvents{
		Session: e.GetSession(), Events: []*lockstepv1.Event{e}, Through: e.GetPosition(),
	}}})
}

// with changes the service's behaviour.
func (s *service) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// holders are who holds a lock.
func (s *service) holders(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lock(path).holders)
}

func (s *service) waiters(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lock(path).queue)
}

// exactlyOnce fails unless every request took effect at most once.
func (s *service) exactlyOnce(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.executed {
		require.Equal(t, 1, n, "session %d sequence %d", id[0], id[1])
	}
}

// bentClocks are a process's clocks with a machine that can be suspended and a
// wall clock that can be set. (Mono runs with the test's virtual time.)
type bentClocks struct{ suspended, wallSet atomic.Int64 }

func (b *bentClocks) clocks() clocks.Clocks {
	start := mono.Now()
	return clocks.Clocks{
		Mono: mono,
		Boot: func() time.Duration { return mono.Since(start) + time.Duration(b.suspended.Load()) },
		Wall: func() time.Time {
			return mono.Now().Add(time.Duration(b.suspended.Load() + b.wallSet.Load())).Round(0)
		},
	}
}

func realClocks() clocks.Clocks { return new(bentClocks).clocks() }

// process is one client process of a test.
type process struct {
	*Client
	bent *bentClocks
	host string
}

// run runs a test in virtual time.
func run(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// connect starts a client process on a host of its own.
func (s *service) connect(t *testing.T, host string, change ...func(*Config)) *process {
	t.Helper()
	p := &process{bent: new(bentClocks), host: host}
	cfg := DefaultConfig()
	for _, n := range s.nodes {
		cfg.Endpoints = append(cfg.Endpoints, n.GetAddress())
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := Open(t.Context(), cfg, Deps{
		Network: s.net.Host(host, simnet.AsClient(host)), Clocks: p.bent.clocks(),
		Rand: rand.New(rand.NewPCG(1, uint64(len(host)))), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		pass(2 * time.Second) // until the last node has heard of it
	})
	p.Client = c
	return p
}

func (p *process) session(t *testing.T, opts ...SessionOption) *Session {
	t.Helper()
	s, err := p.NewSession(t.Context(), opts...)
	require.NoError(t, err)
	return s
}

func acquired(t *testing.T, l *Lock, opts ...AcquireOption) *Grant {
	t.Helper()
	g, err := l.Acquire(t.Context(), opts...)
	require.NoError(t, err)
	return g
}

// inBackground starts an acquire and returns when it can make no further progress.
func inBackground(ctx context.Context, l *Lock, opts ...AcquireOption) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		g, err := l.Acquire(ctx, opts...)
		done <- outcome{g, err}
	}()
	synctest.Wait()
	return done
}

type outcome struct {
	grant *Grant
	err   error
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-mono.After(d)
	synctest.Wait()
}

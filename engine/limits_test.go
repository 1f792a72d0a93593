package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// trial is an engine in office with sessions 1 and 2, for short tests.
type trial struct {
	*testing.T
	*Engine
	sequence map[SessionID]uint64
}

func newTrial(t *testing.T, change func(*Limits)) *trial {
	t.Helper()
	limits := DefaultLimits()
	if change != nil {
		change(&limits)
	}
	tr := &trial{t, New(Config{Lineage: 1, Limits: limits}), map[SessionID]uint64{}}
	tr.do(&TakeOffice{Node: "n1", Term: 1})
	tr.do(openOf(1))
	tr.do(openOf(2))
	return tr
}

func openOf(n byte) *OpenSession {
	return &OpenSession{SecretHash: [32]byte{n}, TTL: DefaultTTL, Grace: 4 * time.Second, Principal: "p"}
}

// at applies an entry of one command at a log time.
func (tr *trial) at(now time.Duration, c Command) Result {
	tr.Helper()
	out := tr.Apply(Entry{Index: tr.Index() + 1, Term: 1, Batch: Batch{Time: LogTime(now), Commands: []Command{c}}})
	require.NoError(tr, tr.CheckInvariants())
	return out.Results[0]
}

func (tr *trial) do(c Command) Result {
	tr.Helper()
	return tr.at(0, c)
}

func (tr *trial) request(id SessionID) Request {
	tr.sequence[id]++
	q := tr.sequence[id]
	return Request{Session: id, Incarnation: 1, Sequence: q, AckedThrough: q - 1}
}

func (tr *trial) refused(limit string, r Result) {
	tr.Helper()
	refused, ok := r.(*Refused)
	require.True(tr, ok, "%v", r)
	assert.Equal(tr, ReasonResourceExhausted, refused.Reason)
	assert.Equal(tr, limit, refused.Limit)
	assert.Equal(tr, RetryHint, refused.RetryAfter)
	assert.Contains(tr, refused.Detail, limit)
}

func (tr *trial) invalid(what string, r Result) {
	tr.Helper()
	refused, ok := r.(*Refused)
	require.True(tr, ok, "%v", r)
	assert.Equal(tr, ReasonInvalid, refused.Reason)
	assert.Contains(tr, refused.Detail, what)
}

func (tr *trial) fine(r Result) {
	tr.Helper()
	_, refused := r.(*Refused)
	require.False(tr, refused, "%v", r)
}

func TestLimitSessions(t *testing.T) {
	tr := newTrial(t, func(l *Limits) { l.Sessions = 2 })
	tr.refused("sessions", tr.do(openOf(3)))
	tr.fine(tr.do(openOf(2))) // a retry needs no room
}

func TestLimitLocks(t *testing.T) {
	tr := newTrial(t, func(l *Limits) { l.Locks = 1 })
	tr.fine(tr.do(&Acquire{Request: tr.request(1), Owner: 1, Path: "/a", Mode: Shared}))
	tr.refused("locks", tr.do(&Acquire{Request: tr.request(1), Owner: 1, Path: "/b", Mode: Shared}))
	tr.fine(tr.do(&Acquire{Request: tr.request(2), Owner: 1, Path: "/a", Mode: Shared}))
}

func TestLimitRequestsPerLock(t *testing.T) {
	tr := newTrial(t, func(l *Limits) { l.RequestsPerLock = 2 })
	tr.fine(tr.do(&Acquire{Request: tr.request(1), Owner: 1, Path: "/a", Mode: Shared, Hold: time.Second, Delay: time.Hour}))
	tr.fine(tr.do(&Acquire{Request: tr.request(1), Owner: 2, Path: "/a", Mode: Shared}))
	tr.refused("requests per lock", tr.do(&Acquire{Request: tr.request(2), Owner: 1, Path: "/a", Mode: Shared}))
	tr.refused("requests per lock", tr.do(&Acquire{Request: tr.request(2), Owner: 1, Path: "/a", Mode: Exclusive, Wait: WaitForever}))
	// A closure takes the place of the grant that it stems from.
	tr.refused("requests per lock", tr.at(time.Second, &Acquire{Request: tr.request(2), Owner: 1, Path: "/a", Mode: Shared}))
}

func TestLimitPossessionsPerSession(t *testing.T) {
	tr := newTrial(t, func(l *Limits) { l.PossessionsPerSession = 2 })
	tr.fine(tr.do(&Acquire{Request: tr.request(2), Owner: 1, Path: "/b", Mode: Exclusive}))
	tr.fine(tr.do(&Acquire{Request: tr.request(1), Owner: 1, Path: "/a", Mode: Exclusive}))
	tr.fine(tr.do(&Acquire{Request: tr.request(1), Owner: 1, Path: "/b", Mode: Exclusive, Wait: WaitForever}))
	tr.refused("possessions per session", tr.do(&Acquire{Request: tr.request(1), Owner: 1, Path: "/c", Mode: Exclusive}))
	tr.fine(tr.do(&Acquire{Request: tr.request(1), Owner: 1, Path: "/a", Mode: Exclusive})) // once more the same
}

func TestLimitWaitsPerSession(t *testing.T) {
	tr := newTrial(t, func(l *Limits) { l.WaitsPerSession = 1 })
	tr.fine(tr.do(&Acquire{Request: tr.request(1), Owner: 1, Path: "/a", Mode: Exclusive}))
	tr.fine(tr.do(&Acquire{Request: tr.request(2), Owner: 1, Path: "/a", Mode: Exclusive, Wait: Waiting(time.Second)}))
	tr.refused("waits per session", tr.do(&Acquire{Request: tr.request(2), Owner: 2, Path: "/a", Mode: Exclusive, Wait: WaitForever}))
	tr.fine(tr.at(time.Second, &Tick{Term: 1}))
	tr.refused("waits per session", tr.do(&Acquire{Request: tr.request(2), Owner: 2, Path: "/a", Mode: Exclusive, Wait: WaitForever}))
	seen := tr.request(2)
	seen.SeenThrough = Position{Index: tr.Index()}
	tr.fine(tr.do(&Acquire{Request: seen, Owner: 2, Path: "/a", Mode: Exclusive, Wait: WaitForever}))
}

func TestLimitDuePerEntry(t *testing.T) {
	tr := newTrial(t, func(l *Limits) { l.DuePerEntry = 3 })
	for i := range 7 {
		tr.fine(tr.do(&Acquire{Request: tr.request(1), Owner: OwnerID(i + 1), Path: "/a", Mode: Shared, Hold: time.Second}))
	}
	for _, left := range []uint64{4, 1, 0} {
		tr.fine(tr.at(2*time.Second, &Tick{Term: 1}))
		assert.Equal(t, left, tr.Counts().Grants)
	}
}

func TestLimitFreedPerEntry(t *testing.T) {
	tr := newTrial(t, func(l *Limits) { l.FreedPerEntry = 3 })
	for i := range 7 {
		tr.fine(tr.do(&Acquire{Request: tr.request(1), Owner: OwnerID(i + 1), Path: "/a", Mode: Shared}))
	}
	tr.fine(tr.do(&ExpireSession{Term: 1, Session: 1}))
	for _, left := range []uint64{4, 1, 0} {
		assert.Equal(t, left, tr.Counts().Grants)
		tr.fine(tr.do(&Tick{Term: 1}))
	}
	assert.EqualValues(t, 1, tr.Counts().Sessions)
}

func TestLimitCount(t *testing.T) {
	tr := newTrial(t, nil)
	for range MaxCount {
		tr.Apply(Entry{Index: tr.Index() + 1, Term: 1, Batch: Batch{Commands: []Command{
			&Acquire{Request: tr.request(1), Owner: 1, Path: "/a", Mode: Exclusive},
		}}})
	}
	tr.refused("acquisitions per grant", tr.do(&Acquire{Request: tr.request(1), Owner: 1, Path: "/a", Mode: Exclusive}))
	g, _ := tr.FindGrant("/a", 1, 1)
	assert.EqualValues(t, MaxCount, g.Count)
}

func TestReplyWindow(t *testing.T) {
	tr := newTrial(t, nil)
	release := func(q, acked uint64) Result {
		return tr.do(&Release{Request: Request{Session: 1, Incarnation: 1, Sequence: q, AckedThrough: acked}, Owner: 1, Path: "/a", Token: 1})
	}
	for q := range uint64(ReplyWindow) {
		assert.Equal(t, ReasonNotHolder, release(ReplyWindow-q, 0).(*Refused).Reason)
	}
	s, _ := tr.sessions.Get(1)
	assert.Len(t, s.replies, ReplyWindow)
	assert.Equal(t, ReasonSequenceWindow, release(ReplyWindow+1, 0).(*Refused).Reason)
	assert.Equal(t, ReasonNotHolder, release(ReplyWindow+1, 1).(*Refused).Reason)
	assert.Equal(t, ReasonSequenceWindow, tr.do(&Cancel{
		Request: Request{Session: 1, Incarnation: 1, Sequence: ReplyWindow + 2, AckedThrough: 2}, Target: ReplyWindow + 3,
	}).(*Refused).Reason)
	s, _ = tr.sessions.Get(1)
	assert.Len(t, s.replies, ReplyWindow)
}

func TestTakeOversKept(t *testing.T) {
	tr := newTrial(t, nil)
	for i := range 3 * TakeOversKept {
		tr.fine(tr.do(&TakeOver{Session: 1, SecretHash: [32]byte{1}, Principal: "p", Nonce: uint64(i + 1)}))
	}
	s, _ := tr.sessions.Get(1)
	assert.Len(t, s.takeOvers, TakeOversKept)
	assert.Equal(t, ReasonSessionSuperseded,
		tr.do(&TakeOver{Session: 1, SecretHash: [32]byte{1}, Principal: "p", Nonce: 3*TakeOversKept - 1}).(*Refused).Reason)
}

func TestTenuresKept(t *testing.T) {
	tr := newTrial(t, nil)
	for i := range 3 * TenuresKept {
		tr.fine(tr.at(time.Duration(i)*time.Second, &TakeOffice{Node: "n", Term: 1}))
	}
	assert.EqualValues(t, 3*TenuresKept+1, tr.tenures.seen)
	assert.Equal(t, LogTime(2*TenuresKept*time.Second), tr.tenures.began[0])
}

// Every bound on what a command says, at the bound and beyond it.
func TestBoundsOfCommands(t *testing.T) {
	r := Request{Session: 1, Incarnation: 1, Sequence: 1}
	acquire := func(change func(*Acquire)) Command {
		c := &Acquire{Request: r, Owner: 1, Path: "/a", Mode: Exclusive}
		change(c)
		return c
	}
	open := func(change func(*OpenSession)) Command {
		c := openOf(9)
		change(c)
		return c
	}
	for _, c := range []struct {
		name string
		c    Command
		want string
	}{
		{"shortest TTL", open(func(c *OpenSession) { c.TTL, c.Grace = MinTTL, time.Second }), ""},
		{"longest TTL", open(func(c *OpenSession) { c.TTL, c.Grace = MaxTTL, time.Hour }), ""},
		{"too short a TTL", open(func(c *OpenSession) { c.TTL, c.Grace = MinTTL-1, time.Second }), "the TTL is"},
		{"too long a TTL", open(func(c *OpenSession) { c.TTL, c.Grace = MaxTTL+1, time.Hour }), "the TTL is"},
		{"negative TTL", open(func(c *OpenSession) { c.TTL = -1 }), "the TTL is"},
		{"smallest grace", open(func(c *OpenSession) { c.TTL, c.Grace = 101*time.Second, 2*time.Second }), ""},
		{"too small a grace", open(func(c *OpenSession) { c.TTL, c.Grace = 101*time.Second, 2*time.Second-1 }), "the grace is"},
		{"grace of the whole TTL", open(func(c *OpenSession) { c.Grace = c.TTL }), "the grace is"},
		{"no secret", open(func(c *OpenSession) { c.SecretHash = [32]byte{} }), "no secret"},
		{"longest names", open(func(c *OpenSession) {
			c.Principal, c.Label = strings.Repeat("p", MaxPrincipalBytes), strings.Repeat("l", MaxLabelBytes)
		}), ""},
		{"too long a principal", open(func(c *OpenSession) { c.Principal = strings.Repeat("p", MaxPrincipalBytes+1) }), "the principal has 257 bytes"},
		{"too long a label", open(func(c *OpenSession) { c.Label = strings.Repeat("l", MaxLabelBytes+1) }), "the label has 257 bytes"},
		{"label of no text", open(func(c *OpenSession) { c.Label = "\xff" }), "not valid UTF-8"},
		{"longest node name", &TakeOffice{Node: strings.Repeat("n", MaxNodeBytes), Term: 1}, ""},
		{"too long a node name", &TakeOffice{Node: strings.Repeat("n", MaxNodeBytes+1), Term: 1}, "the node has 129 bytes"},
		{"no node name", &TakeOffice{Term: 1}, "no node"},
		{"no term", &TakeOffice{Node: "n"}, "no term"},
		{"tick without term", &Tick{}, "no term"},
		{"take-over of nothing", &TakeOver{Nonce: 1}, "no session"},
		{"take-over without nonce", &TakeOver{Session: 1}, "no nonce"},
		{"take-over by too long a principal", &TakeOver{Session: 1, Nonce: 1, Principal: strings.Repeat("p", MaxPrincipalBytes+1)}, "the principal"},
		{"silence of nobody", &Silent{Term: 1, Observed: 1}, "no session"},
		{"silence in no term", &Silent{Session: 1, Observed: 1}, "no term"},
		{"negative silence", &Silent{Term: 1, Session: 1, Observed: -1}, "the observed silence"},
		{"too much silence", &Silent{Term: 1, Session: 1, Observed: MaxTTL + 1}, "the observed silence"},
		{"nobody alive", &Alive{Term: 1}, "no session"},
		{"nobody expires", &ExpireSession{Term: 1}, "no session"},
		{"leaving without session", &Leave{Request{Incarnation: 1, Sequence: 1}}, "no session"},
		{"ending without incarnation", &EndSession{Request{Session: 1, Sequence: 1}}, "no incarnation"},
		{"no sequence", &Leave{Request{Session: 1, Incarnation: 1}}, "the sequence is 0"},
		{"last sequence", &Leave{Request{Session: 1, Incarnation: 1, Sequence: MaxSequence, AckedThrough: MaxSequence - 1}}, ""},
		{"beyond the last sequence", &Leave{Request{Session: 1, Incarnation: 1, Sequence: MaxSequence + 1}}, "the sequence is"},
		{"acknowledging itself", &Leave{Request{Session: 1, Incarnation: 1, Sequence: 3, AckedThrough: 3}}, "acknowledges its own answer"},
		{"longest wait", acquire(func(c *Acquire) { c.Wait = Waiting(MaxWait) }), ""},
		{"shortest wait", acquire(func(c *Acquire) { c.Wait = Waiting(MinWait) }), ""},
		{"too short a wait", acquire(func(c *Acquire) { c.Wait = Waiting(MinWait - 1) }), "the wait is"},
		{"too long a wait", acquire(func(c *Acquire) { c.Wait = Waiting(MaxWait + 1) }), "the wait is"},
		{"negative wait", acquire(func(c *Acquire) { c.Wait = -2 }), "the wait is"},
		{"shortest hold", acquire(func(c *Acquire) { c.Hold = MinHold }), ""},
		{"longest hold", acquire(func(c *Acquire) { c.Hold = MaxHold }), ""},
		{"too short a hold", acquire(func(c *Acquire) { c.Hold = MinHold - 1 }), "the hold is"},
		{"too long a hold", acquire(func(c *Acquire) { c.Hold = MaxHold + 1 }), "the hold is"},
		{"negative hold", acquire(func(c *Acquire) { c.Hold = -1 }), "the hold is"},
		{"longest delay", acquire(func(c *Acquire) { c.Delay = MaxDelay }), ""},
		{"too long a delay", acquire(func(c *Acquire) { c.Delay = MaxDelay + 1 }), "the delay is"},
		{"negative delay", acquire(func(c *Acquire) { c.Delay = -1 }), "the delay is"},
		{"no owner", acquire(func(c *Acquire) { c.Owner = 0 }), "no owner"},
		{"a mode to come", acquire(func(c *Acquire) { c.Mode = 4 }), "there is no mode 4"},
		{"no mode", acquire(func(c *Acquire) { c.Mode = 255 }), "there is no mode 255"},
		{"no path", acquire(func(c *Acquire) { c.Path = "" }), "it is empty"},
		{"acquire without sequence", acquire(func(c *Acquire) { c.Sequence = 0 }), "the sequence is 0"},
		{"release by nobody", &Release{Request: r, Path: "/a", Token: 1}, "no owner"},
		{"release of no token", &Release{Request: r, Owner: 1, Path: "/a"}, "no token"},
		{"release of no path", &Release{Request: r, Owner: 1, Token: 1}, "it is empty"},
		{"release without session", &Release{Owner: 1, Path: "/a", Token: 1}, "no session"},
		{"cancel of itself", &Cancel{Request: r, Target: 1}, "cancels itself"},
		{"cancel of nothing", &Cancel{Request: r}, "the cancelled sequence is 0"},
		{"cancel beyond the last sequence", &Cancel{Request: r, Target: MaxSequence + 1}, "the cancelled sequence is"},
		{"cancel without session", &Cancel{Target: 5}, "no session"},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusal := Check(c.c, DefaultLimits())
			tr := newTrial(t, nil)
			if c.want == "" {
				require.Nil(t, refusal)
				if r, refused := tr.do(c.c).(*Refused); refused {
					require.NotEqual(t, ReasonInvalid, r.Reason)
				}
				return
			}
			tr.invalid(c.want, refusal)
			tr.invalid(c.want, tr.do(c.c)) // a log may hold anything
		})
	}
}

func TestConfigRefusesWhatNoEngineCanKeep(t *testing.T) {
	require.NoError(t, DefaultConfig(1).Validate())
	require.ErrorIs(t, DefaultConfig(0).Validate(), ErrConfig)
	require.Panics(t, func() { New(Config{}) })
	for i, name := range []string{
		"sessions", "locks", "requests per lock", "possessions per session", "waits per session", "due per entry", "freed per entry",
	} {
		for _, bad := range []uint32{0, 1<<31 + 1} {
			cfg := DefaultConfig(1)
			*cfg.Limits.all()[i] = bad
			err := cfg.Validate()
			require.ErrorIs(t, err, ErrConfig)
			require.ErrorContains(t, err, name)
		}
	}
}

func TestDeadlinesBeyondTheEndOfTimeAreCut(t *testing.T) {
	tr := newTrial(t, nil)
	tr.fine(tr.at(time.Duration(MaxLogTime), &Acquire{Request: tr.request(1), Owner: 1, Path: "/a", Mode: Exclusive, Hold: MaxHold, Delay: MaxDelay}))
	g, held := tr.FindGrant("/a", 1, 1)
	require.True(t, held)
	assert.Equal(t, MaxLogTime, g.Until)
}

func TestEntriesOutOfOrderAreABug(t *testing.T) {
	tr := newTrial(t, nil)
	for name, entry := range map[string]Entry{
		"an index again":        {Index: tr.Index(), Term: 1},
		"a term that goes back": {Index: tr.Index() + 1, Term: 0},
		"a time after all time": {Index: tr.Index() + 1, Term: 1, Batch: Batch{Time: MaxLogTime + 1}},
		"a command of no kind":  {Index: tr.Index() + 1, Term: 1, Batch: Batch{Commands: []Command{nil}}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Panics(t, func() { tr.Apply(entry) })
		})
	}
	assert.Panics(t, func() { AppendBatch(nil, Batch{Commands: []Command{foreign{}}}) })
	assert.Panics(t, func() { requestOf(&Tick{}) })
	assert.Panics(t, func() { appendKept(nil, &Opened{}) })
}

type foreign struct{}

func (foreign) Kind() CommandKind { return 99 }

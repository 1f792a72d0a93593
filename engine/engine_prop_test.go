package engine

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// world draws logs that make things happen: it knows a model, so that most
// commands make sense, some are retries, and a few make none.
type world struct {
	*model
	term uint64
	time LogTime
	next map[SessionID]uint64
	sent []Command
}

func newWorld(limits Limits) *world {
	return &world{model: newModel(limits), term: 1, next: map[SessionID]uint64{}}
}

func smallLimits() Limits {
	return Limits{
		Sessions: 4, Locks: 3, RequestsPerLock: 5, PossessionsPerSession: 4, WaitsPerSession: 3, DuePerEntry: 2, FreedPerEntry: 2,
	}
}

// pick draws a number below n, all about equally likely; rapid by itself prefers
// small ones so much that little would happen.
func pick(t *rapid.T, n int, label string) int {
	return rapid.IntRange(0, 1<<24).Draw(t, label) % n
}

func oneOf[T any](t *rapid.T, items []T, label string) T { return items[pick(t, len(items), label)] }

func (w *world) command(t *rapid.T) Command {
	kind := pick(t, 100, "kind")
	term := w.term
	if pick(t, 20, "stale") == 0 {
		term--
	}
	switch {
	case kind < 25:
		return w.acquireOne(t)
	case kind < 45:
		return w.releaseOne(t)
	case kind < 55 || len(w.sessions) == 0:
		return w.openOne(t)
	case kind < 63:
		return w.cancelOne(t)
	case kind < 71 && len(w.sent) > 0:
		return oneOf(t, w.sent[max(0, len(w.sent)-12):], "retry")
	case kind < 76:
		return &Tick{Term: term}
	case kind < 80:
		return &Silent{Term: term, Session: w.someSession(t), Observed: w.span(t)}
	case kind < 83:
		return &Alive{Term: term, Session: w.someSession(t)}
	case kind < 87:
		return &ExpireSession{Term: term, Session: w.someSession(t)}
	case kind < 91:
		c := &TakeOver{Session: w.someSession(t), Principal: "p", Nonce: uint64(1 + pick(t, 12, "nonce"))}
		if s := w.find(c.Session); s != nil && pick(t, 9, "wrong") > 0 {
			c.SecretHash = s.open.SecretHash
		}
		return c
	case kind < 94:
		return &Leave{w.header(t)}
	case kind < 97:
		return &EndSession{w.header(t)}
	default:
		return &TakeOffice{Node: "n", Term: term}
	}
}

func (w *world) span(t *rapid.T) time.Duration {
	return time.Duration(1+pick(t, 12, "seconds")) * time.Second
}

func (w *world) someSession(t *rapid.T) SessionID {
	if len(w.sessions) > 0 && pick(t, 10, "known") > 0 {
		return oneOf(t, w.sessions, "session").id
	}
	return SessionID(1 + pick(t, 9, "session"))
}

func (w *world) openOne(t *rapid.T) Command {
	c := &OpenSession{TTL: 3 * time.Second, Grace: time.Second, Principal: "p"}
	c.SecretHash[0] = byte((1 + pick(t, 200, "secret")))
	if len(w.sessions) > 0 && pick(t, 3, "again") == 0 {
		c.SecretHash = oneOf(t, w.sessions, "session").open.SecretHash
	}
	if pick(t, 10, "stranger") == 0 {
		c.Principal = "q"
	}
	return c
}

func (w *world) header(t *rapid.T) Request {
	id := w.someSession(t)
	s := w.find(id)
	if s == nil {
		return Request{Session: id, Incarnation: 1, Sequence: 1}
	}
	q := max(w.next[id], s.lastSeq) + 1
	r := Request{Session: id, Incarnation: s.incarnation, Sequence: q}
	switch pick(t, 20, "header") {
	case 0:
		r.Sequence = uint64(1 + pick(t, int(q)+70, "sequence"))
	case 1:
		r.Incarnation--
	case 2:
		r.Incarnation++
	case 3:
		r.Sequence += ReplyWindow + s.acked - min(q, ReplyWindow+s.acked) // the window's last
	}
	w.next[id] = max(q, min(r.Sequence, q+3))
	r.AckedThrough = r.Sequence - 1
	r.AckedThrough -= min(r.AckedThrough, oneOf(t, []uint64{0, 1, 2, 3, 30, 100}, "behind"))
	switch pick(t, 4, "seen") {
	case 0:
		r.SeenThrough = Position{Index: w.index, N: 1 << 31} // all there was so far
	case 1:
		if len(s.outcomes) > 0 {
			r.SeenThrough = s.outcomes[0].Position
		}
	}
	return r
}

var (
	propModes = []Mode{Shared, Exclusive, Shared}
	propPaths = []string{"/a", "/a/b", "/c", "/d"}
)

func (w *world) acquireOne(t *rapid.T) Command {
	c := &Acquire{
		Request: w.header(t), Owner: OwnerID((1 + pick(t, 2, "owner"))), Path: oneOf(t, propPaths, "path"), Mode: oneOf(t, propModes, "mode"),
	}
	switch pick(t, 4, "wait") {
	case 0:
	case 1:
		c.Wait = WaitForever
	default:
		c.Wait = Waiting(w.span(t))
	}
	if pick(t, 3, "holds") == 0 {
		c.Hold = w.span(t)
	}
	if pick(t, 3, "delays") == 0 {
		c.Delay = w.span(t)
	}
	return c
}

func (w *world) releaseOne(t *rapid.T) Command {
	if len(w.grants) == 0 || pick(t, 10, "wrong") == 0 {
		return &Release{Request: w.header(t), Owner: 1, Path: oneOf(t, propPaths, "path"), Token: w.counter + 1}
	}
	g := oneOf(t, w.grants, "grant")
	return &Release{Request: w.goodHeader(g.Session), Owner: g.Owner, Path: g.Path, Token: g.Token}
}

func (w *world) cancelOne(t *rapid.T) Command {
	if len(w.waits) == 0 || pick(t, 2, "wrong") == 0 {
		h := w.header(t)
		return &Cancel{Request: h, Target: h.Sequence + 2 - min(h.Sequence+1, uint64(pick(t, 7, "back")))}
	}
	waits := oneOf(t, w.waits, "waits")
	return &Cancel{Request: w.goodHeader(waits.Session), Target: waits.Sequence}
}

// goodHeader is the header of a session's next request.
func (w *world) goodHeader(id SessionID) Request {
	s := w.find(id)
	q := max(w.next[id], s.lastSeq) + 1
	w.next[id] = q
	return Request{Session: id, Incarnation: s.incarnation, Sequence: q, AckedThrough: max(s.acked, q-min(q, 5))}
}

// entry draws the next entry. The model has not seen the commands before it in
// the entry, so some of them will turn out to make no sense.
func (w *world) entry(t *rapid.T, commands int) Entry {
	if pick(t, 30, "election") == 0 {
		w.term++
	}
	w.time += LogTime(oneOf(t, []time.Duration{0, 0, 0, time.Second, time.Second, 2 * time.Second, 7 * time.Second}, "passes"))
	entry := Entry{Index: w.index + 1 + uint64(pick(t, 21, "gap")/20), Term: w.term, Batch: Batch{Time: w.time}}
	for range commands {
		c := w.command(t)
		entry.Commands = append(entry.Commands, c)
		w.sent = append(w.sent, c)
	}
	return entry
}

// log draws a log and applies it to the model.
func (w *world) log(t *rapid.T, entries, mostCommands int) (log []Entry) {
	for range entries {
		entry := w.entry(t, 1+pick(t, mostCommands, "commands"))
		w.apply(entry)
		log = append(log, entry)
	}
	return log
}

func lines[T any](items []T) []string {
	out := make([]string, len(items))
	for i := range items {
		out[i] = fmt.Sprintf("%+v", items[i])
	}
	return out
}

func TestProp_EngineDoesWhatTheModelDoes(t *testing.T) {
	happened := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		limits := smallLimits()
		limits.DuePerEntry = rapid.SampledFrom([]uint32{1, 2, 100}).Draw(t, "due per entry")
		limits.FreedPerEntry = rapid.SampledFrom([]uint32{1, 3, 100}).Draw(t, "freed per entry")
		w := newWorld(limits)
		e := New(Config{Lineage: 1, Limits: limits})
		for range 1 + pick(t, 300, "entries") {
			entry := w.entry(t, 1+pick(t, 3, "commands"))
			want := w.apply(entry)
			got := e.Apply(entry)
			require.Equal(t, lines(want.Results), lines(got.Results))
			require.Equal(t, want.Results, got.Results)
			require.Equal(t, lines(want.Events), lines(got.Events))
			require.Equal(t, want.Events, got.Events)
			require.NoError(t, e.CheckInvariants())
			w.compare(t, e)
			count(happened, got)
		}
	})
	// A world in which something never happens tests nothing of it.
	for k := EventTenureBegan; k <= EventReopened; k++ {
		require.NotZero(t, happened[k.String()], "%v never happened", k)
	}
	for r := EndReleased; r <= EndCancelled; r++ {
		require.NotZero(t, happened[r.String()], "nothing ended so: %v", r)
	}
	for r := ReasonSessionUnknown; r <= ReasonStaleTerm; r++ {
		require.NotZero(t, happened["refused "+r.String()], "nothing was refused so: %v", r)
	}
	for o := NeverExecuted; o <= WasEnded; o++ {
		require.NotZero(t, happened["cancelled "+o.String()], "nothing was cancelled so: %v", o)
	}
}

// count counts what happened.
func count(happened map[string]int, out Outcome) {
	for _, ev := range out.Events {
		happened[ev.Kind.String()]++
		if ev.Reason != 0 {
			happened[ev.Reason.String()]++
		}
	}
	for _, r := range out.Results {
		switch r := r.(type) {
		case *Refused:
			happened["refused "+r.Reason.String()]++
		case *Cancelled:
			happened["cancelled "+r.Outcome.String()]++
		}
	}
}

// compare compares what the engine shows with what the model has.
func (w *world) compare(t *rapid.T, e *Engine) {
	require.Equal(t, Counts{
		Sessions: uint64(len(w.sessions)), Locks: uint64(len(w.histories)), Grants: uint64(len(w.grants)), Waiters: uint64(len(w.waits)),
	}, e.Counts())
	for _, s := range w.sessions {
		info, found := e.Session(s.id)
		require.True(t, found)
		require.Equal(t, []any{s.state, s.silence, s.incarnation, s.left, s.ended, s.lastSeq}, []any{
			info.State, info.Silence, info.Incarnation, info.Left, info.Ended, info.LastSequence,
		})
		var grants []Grant
		for _, g := range w.grants {
			if g.Session == s.id {
				grants = append(grants, g.Grant)
			}
		}
		require.ElementsMatch(t, grants, e.SessionGrants(s.id))
		require.True(t, slices.IsSortedFunc(e.SessionGrants(s.id), func(a, b Grant) int { return int(a.Token) - int(b.Token) }))
		if s.state != SessionExpired {
			require.ElementsMatch(t, s.outcomes, e.SessionEnded(s.id))
		}
	}
	var waiters []Waiter
	for _, path := range []string{"/a", "/a/b", "/c", "/d"} {
		for i, q := range w.queue(path) {
			waiter := q.Waiter
			waiter.Ahead = uint32(i)
			waiters = append(waiters, waiter)
		}
	}
	require.Equal(t, waiters, slices.Collect(e.View().Waiters("", "", 0)))
}

func replay(log []Entry, limits Limits) *Engine {
	e := New(Config{Lineage: 1, Limits: limits})
	for _, entry := range log {
		e.Apply(entry)
	}
	return e
}

// Two replicas that apply one log have one digest after each entry, however often
// either is asked, and though one restarts from the encoded log.
func TestProp_ReplayGivesSameDigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(smallLimits())
		log := w.log(t, 1+pick(t, 60, "entries"), 3)
		first, second := New(Config{Lineage: 1, Limits: w.limits}), New(Config{Lineage: 1, Limits: w.limits})
		for _, entry := range log {
			batch, err := DecodeBatch(AppendBatch(nil, entry.Batch))
			require.NoError(t, err)
			require.Equal(t, entry.Batch, batch)
			first.Apply(entry)
			second.Apply(Entry{Index: entry.Index, Term: entry.Term, Batch: batch})
			if rapid.Bool().Draw(t, "ask") {
				require.Equal(t, first.Digest(), second.Digest())
			}
			if rapid.IntRange(0, 3).Draw(t, "view") == 0 {
				second.View() // looking changes nothing
			}
		}
		require.Equal(t, first.Digest(), second.Digest())
		require.Equal(t, snapshot(t, first), snapshot(t, second))
	})
}

func TestProp_SnapshotRestoreIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(smallLimits())
		log := w.log(t, 1+pick(t, 60, "entries"), 3)
		cut := rapid.IntRange(0, len(log)).Draw(t, "cut")
		whole := replay(log[:cut], w.limits)
		data := snapshot(t, whole)
		restored, err := Restore(bytes.NewReader(data), Config{Lineage: 1, Limits: w.limits})
		require.NoError(t, err)
		require.Equal(t, whole.Digest(), restored.Digest())
		require.True(t, bytes.Equal(data, snapshot(t, restored)))
		for _, entry := range log[cut:] {
			want, got := whole.Apply(entry), restored.Apply(entry)
			require.Equal(t, want, got)
			require.Equal(t, whole.Digest(), restored.Digest())
		}
		require.NoError(t, restored.CheckInvariants())
	})
}

// unplaced strips positions, which differ when entries do.
func unplaced(t require.TestingT, out Outcome) (lines []string) {
	for _, r := range out.Results {
		switch r := r.(type) {
		case *Granted:
			c := *r
			c.Position, c.Grant.Since = Position{}, Position{}
			lines = append(lines, fmt.Sprintf("%+v", &c))
		case *Refused:
			c := *r
			c.Position, c.Holder.Since = Position{}, Position{}
			lines = append(lines, fmt.Sprintf("%+v", &c))
		default:
			lines = append(lines, fmt.Sprint(r)) // prints no position
		}
	}
	for _, ev := range out.Events {
		ev.Position = Position{}
		lines = append(lines, ev.String())
	}
	return lines
}

// How the proposer cuts commands into entries makes no difference, as long as no
// portion runs out.
func TestProp_BatchingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := smallLimits()
		limits.DuePerEntry, limits.FreedPerEntry = 1000, 1000
		w := newWorld(limits)
		together, apart := New(Config{Lineage: 1, Limits: limits}), New(Config{Lineage: 1, Limits: limits})
		for range 1 + pick(t, 30, "entries") {
			entry := w.entry(t, 1+pick(t, 8, "commands"))
			for _, c := range entry.Commands {
				switch c.(type) {
				case *Acquire, *Release, *Cancel, *Leave, *EndSession:
					if seen := &requestOf(c).SeenThrough; seen.N == 1<<31 {
						seen.Index = 1 << 60 // positions differ: either everything
					} else {
						*seen = Position{} // or nothing
					}
				}
			}
			w.apply(entry)
			want := together.Apply(entry)
			var got Outcome
			for _, c := range entry.Commands {
				one := apart.Apply(Entry{Index: apart.Index() + 1, Term: entry.Term, Batch: Batch{Time: entry.Time, Commands: []Command{c}}})
				got.Results = append(got.Results, one.Results...)
				got.Events = append(got.Events, one.Events...)
			}
			require.Equal(t, unplaced(t, want), unplaced(t, got))
			require.Equal(t, together.Counts(), apart.Counts())
		}
	})
}

// A request that comes again at once gets its answer again and changes nothing.
func TestProp_RetriesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := smallLimits()
		limits.DuePerEntry, limits.FreedPerEntry = 1000, 1000
		w := newWorld(limits)
		e := New(Config{Lineage: 1, Limits: limits})
		for range 1 + pick(t, 80, "entries") {
			entry := w.entry(t, 1)
			entry.Index = max(entry.Index, e.Index()+1)
			w.apply(entry)
			first := e.Apply(entry)
			before := without(e)
			entry.Index++
			w.index++
			again := e.Apply(entry)
			if _, isEnd := entry.Commands[0].(*EndSession); isEnd {
				continue // whoever ended is not there to be asked again
			}
			switch entry.Commands[0].(type) {
			case *TakeOffice, *Tick, *Silent, *Alive, *ExpireSession:
				continue // no client asks for these; a tenure does not ask twice
			}
			require.Empty(t, again.Events)
			require.True(t, bytes.Equal(before, without(e)), "the state has changed")
			require.Equal(t, unplaced(t, Outcome{Results: first.Results}), unplaced(t, Outcome{Results: again.Results}))
		}
	})
}

// without is the canonical state but for the index.
func without(e *Engine) []byte {
	st := e.state
	st.index = 0
	var b bytes.Buffer
	_ = (&View{state: st}).WriteSnapshot(&b)
	return b.Bytes()
}

// A view that is written later, when the engine has gone on, gives what it would
// have given at once; also when another goroutine writes it meanwhile.
func TestProp_ViewsStandStill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(smallLimits())
		e := New(Config{Lineage: 1, Limits: w.limits})
		type seen struct {
			view  *View
			bytes []byte
			later chan []byte
		}
		var views []seen
		for _, entry := range w.log(t, 1+pick(t, 60, "entries"), 3) {
			e.Apply(entry)
			switch rapid.IntRange(0, 3).Draw(t, "look") {
			case 0:
				views = append(views, seen{view: e.View(), bytes: snapshot(t, e)})
			case 1:
				s := seen{bytes: snapshot(t, e), later: make(chan []byte, 1)}
				view := e.View()
				go func() {
					var b bytes.Buffer
					_ = view.WriteSnapshot(&b)
					s.later <- b.Bytes()
				}()
				views = append(views, s)
			case 2:
				e.Digest()
			}
		}
		for _, v := range views {
			if v.later != nil {
				require.Equal(t, v.bytes, <-v.later)
				continue
			}
			var b bytes.Buffer
			require.NoError(t, v.view.WriteSnapshot(&b))
			require.Equal(t, v.bytes, b.Bytes())
		}
	})
}

package engine

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestStories plays testdata/*.txt. Each command line is an entry of its own, at
// the log time of the last "at"; "batch" puts several into one. The answers come
// first, then the events. testdata/README.md has the language.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := newStory(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			s.t = t
			return s.play(d)
		})
		s.replay()
	})
}

type story struct {
	t        *testing.T
	engine   *Engine
	limits   Limits
	log      []Entry
	term     uint64
	now      time.Duration
	sessions map[string]*storySession
}

type storySession struct {
	id          SessionID
	incarnation uint32
	sequence    uint64
	secret      [32]byte
	principal   string
}

func newStory(t *testing.T) *story {
	t.Helper()
	s := &story{t: t, limits: DefaultLimits(), term: 1, sessions: map[string]*storySession{}}
	s.engine = New(Config{Lineage: 1, Limits: s.limits})
	return s
}

// words are what stands after a directive: names in order, options by name.
type words struct {
	t       *testing.T
	names   []string
	options map[string]string
}

func parse(t *testing.T, line string) words {
	t.Helper()
	w := words{t: t, options: map[string]string{}}
	for _, f := range strings.Fields(line) {
		if k, v, found := strings.Cut(f, "="); found {
			w.options[k] = v
		} else {
			w.names = append(w.names, f)
		}
	}
	return w
}

func (w words) name(i int) string {
	w.t.Helper()
	require.Greater(w.t, len(w.names), i, "too few words in %v", w.names)
	return w.names[i]
}

func (w words) has(name string) bool { return slices.Contains(w.names, name) }

func (w words) number(name string, otherwise uint64) uint64 {
	w.t.Helper()
	v, found := w.options[name]
	if !found {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	require.NoError(w.t, err)
	return n
}

func (w words) duration(name string, otherwise time.Duration) time.Duration {
	w.t.Helper()
	v, found := w.options[name]
	if !found {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	require.NoError(w.t, err)
	return d
}

func (w words) text(name, otherwise string) string {
	if v, found := w.options[name]; found {
		return v
	}
	return otherwise
}

func (w words) position(name string) (p Position) {
	if v, found := w.options[name]; found {
		_, err := fmt.Sscanf(v, "%d.%d", &p.Index, &p.N)
		require.NoError(w.t, err)
	}
	return p
}

func (s *story) play(d *datadriven.TestData) string {
	s.t.Helper()
	line := d.Cmd
	for _, arg := range d.CmdArgs {
		line += " " + arg.String()
	}
	w := parse(s.t, line)
	switch d.Cmd {
	case "limit":
		s.setLimits(w)
		return ""
	case "at":
		now, err := time.ParseDuration(w.name(1))
		require.NoError(s.t, err)
		s.now = now
		return ""
	case "term":
		s.term = w.number("is", s.term)
		return ""
	case "batch":
		var commands []Command
		for l := range strings.Lines(d.Input) {
			commands = append(commands, s.command(parse(s.t, l)))
		}
		return s.apply(commands...)
	case "note":
		s.engine.NoteIndex(w.number("index", 0))
		return fmt.Sprintf("index %d\n", s.engine.Index())
	case "restore":
		return s.restore()
	}
	if answer, isRead := s.read(w); isRead {
		return answer
	}
	return s.apply(s.command(w))
}

func (s *story) setLimits(w words) {
	require.Empty(s.t, s.log, "limits come first")
	for i, limit := range s.limits.all() {
		name := []string{"sessions", "locks", "requests", "possessions", "waits", "due", "freed"}[i]
		*limit = uint32(w.number(name, uint64(*limit)))
	}
	s.engine = New(Config{Lineage: 1, Limits: s.limits})
}

// command makes a command of a line.
func (s *story) command(w words) Command {
	s.t.Helper()
	switch w.name(0) {
	case "office":
		return &TakeOffice{Node: w.name(1), Term: w.number("term", s.term)}
	case "tick":
		return &Tick{Term: w.number("term", s.term)}
	case "open":
		return s.open(w)
	case "take-over":
		ss := s.session(w)
		return &TakeOver{
			Session: SessionID(w.number("session", uint64(ss.id))), SecretHash: sha256.Sum256([]byte(w.text("secret", w.name(1)))),
			Principal: w.text("principal", ss.principal), Nonce: w.number("nonce", 1),
		}
	case "silent":
		return &Silent{Term: w.number("term", s.term), Session: s.session(w).id, Observed: w.duration("for", time.Second)}
	case "alive":
		return &Alive{Term: w.number("term", s.term), Session: s.session(w).id}
	case "expire":
		return &ExpireSession{Term: w.number("term", s.term), Session: s.session(w).id}
	case "leave":
		return &Leave{s.header(w)}
	case "end":
		return &EndSession{s.header(w)}
	case "acquire":
		return s.acquire(w)
	case "release":
		return &Release{
			Request: s.header(w), Owner: OwnerID(w.number("owner", 1)), Path: w.name(2), Token: Token(w.number("token", 0)),
		}
	case "cancel":
		return &Cancel{Request: s.header(w), Target: w.number("target", 0)}
	default:
		require.FailNow(s.t, "unknown directive", "%v", w.names)
		return nil
	}
}

func (s *story) open(w words) Command {
	name := w.name(1)
	ss := &storySession{secret: sha256.Sum256([]byte(name)), principal: w.text("principal", name)}
	if _, known := s.sessions[name]; !known {
		s.sessions[name] = ss
	}
	ttl := w.duration("ttl", DefaultTTL)
	return &OpenSession{
		SecretHash: ss.secret, TTL: ttl, Grace: w.duration("grace", ttl*2/5), Principal: ss.principal, Label: w.text("label", ""),
	}
}

// session finds a session by its name, or makes one that was never opened.
func (s *story) session(w words) *storySession {
	s.t.Helper()
	if ss, known := s.sessions[w.name(1)]; known {
		return ss
	}
	return &storySession{id: 999, incarnation: 1, principal: w.name(1)}
}

func (s *story) header(w words) Request {
	ss := s.session(w)
	q := w.number("seq", ss.sequence+1)
	ss.sequence = max(ss.sequence, q)
	return Request{
		Session: ss.id, Incarnation: uint32(w.number("incarnation", uint64(ss.incarnation))),
		Sequence: q, AckedThrough: w.number("acked", 0), SeenThrough: w.position("seen"),
	}
}

func (s *story) acquire(w words) Command {
	c := &Acquire{
		Request: s.header(w), Owner: OwnerID(w.number("owner", 1)), Path: w.name(2), Mode: Exclusive,
		Hold: w.duration("hold", 0), Delay: w.duration("delay", 0),
	}
	if w.has("shared") {
		c.Mode = Shared
	}
	c.Mode = Mode(w.number("mode", uint64(c.Mode)))
	if c.Wait = WaitForever; w.text("wait", "") != "forever" {
		c.Wait = Waiting(w.duration("wait", 0))
	}
	return c
}

// apply applies an entry through the codec, checks everything that can be checked,
// and prints what came of it.
func (s *story) apply(commands ...Command) string {
	s.t.Helper()
	data := AppendBatch(nil, Batch{Time: LogTime(s.now), Commands: commands})
	batch, err := DecodeBatch(data)
	require.NoError(s.t, err)
	require.Equal(s.t, commands, batch.Commands)
	entry := Entry{Index: s.engine.Index() + 1, Term: s.term, Batch: batch}
	s.log = append(s.log, entry)
	out := s.engine.Apply(entry)
	require.NoError(s.t, s.engine.CheckInvariants())
	s.restore()

	var b strings.Builder
	for i, r := range out.Results {
		s.learn(commands[i], r)
		fmt.Fprintf(&b, "%v\n", r)
	}
	for _, ev := range out.Events {
		fmt.Fprintf(&b, "  %v\n", ev)
	}
	return b.String()
}

// learn notes what a client would learn of an answer.
func (s *story) learn(c Command, r Result) {
	for _, ss := range s.sessions {
		switch r := r.(type) {
		case *Opened:
			if open, ok := c.(*OpenSession); ok && open.SecretHash == ss.secret && ss.id == 0 {
				ss.id, ss.incarnation = r.Session, r.Incarnation
			}
		case *TakenOver:
			if c.(*TakeOver).Session == ss.id {
				ss.incarnation = r.Incarnation
			}
		}
	}
}

// restore goes on with what a snapshot restores.
func (s *story) restore() string {
	s.t.Helper()
	first, again := snapshot(s.t, s.engine), []byte(nil)
	restored, err := Restore(bytes.NewReader(first), Config{Lineage: 1, Limits: s.limits})
	require.NoError(s.t, err)
	again = snapshot(s.t, restored)
	require.Equal(s.t, first, again)
	require.Equal(s.t, s.engine.Digest(), restored.Digest())
	s.engine = restored
	return "restored\n"
}

func snapshot(t require.TestingT, e *Engine) []byte {
	var b bytes.Buffer
	require.NoError(t, e.View().WriteSnapshot(&b))
	return b.Bytes()
}

// replay applies the story's log to a fresh engine.
func (s *story) replay() {
	s.t.Helper()
	fresh := New(Config{Lineage: 1, Limits: s.limits})
	for _, entry := range s.log {
		fresh.NoteIndex(entry.Index - 1)
		fresh.Apply(entry)
	}
	fresh.NoteIndex(s.engine.Index())
	require.Equal(s.t, s.engine.Digest(), fresh.Digest(), "a replay ends elsewhere")
}

// read answers the directives that change nothing.
func (s *story) read(w words) (string, bool) {
	s.t.Helper()
	var b strings.Builder
	e := s.engine
	switch w.name(0) {
	case "lock":
		info, found := e.Lock(w.name(1))
		if !found {
			return "free\n", true
		}
		printLock(&b, info)
	case "locks":
		for info := range e.View().Locks(w.text("at", ""), w.text("after", "")) {
			printLock(&b, info)
		}
	case "waiters":
		after := w.number("after-waiter", 0)
		for waiter := range e.View().Waiters(w.text("at", ""), w.text("after", ""), WaiterID(after)) {
			fmt.Fprintf(&b, "%v\n", waiter)
		}
	case "session":
		s.printSession(&b, s.session(w).id)
	case "sessions":
		for info := range e.View().Sessions(SessionID(w.number("after", 0))) {
			fmt.Fprintf(&b, "session=%d %v\n", info.ID, info.State)
		}
	case "due":
		if at, some := e.NextDue(); some {
			fmt.Fprintf(&b, "due at %v, now %v\n", time.Duration(at), time.Duration(e.Time()))
		} else {
			b.WriteString("nothing is due\n")
		}
	case "counts":
		fmt.Fprintf(&b, "%+v last token %d\n", e.Counts(), e.LastToken())
	case "tenure":
		fmt.Fprintf(&b, "%s term=%d began=%v\n", e.Tenure().Node, e.Tenure().Term, time.Duration(e.Tenure().Began))
	default:
		return "", false
	}
	return b.String(), true
}

func printLock(b *strings.Builder, info LockInfo) {
	fmt.Fprintf(b, "%s waiters=%d last token=%d\n", info.Path, info.Waiters, info.LastToken)
	for _, g := range info.Holders {
		fmt.Fprintf(b, "  held %v\n", g)
	}
	for _, c := range info.Closures {
		fmt.Fprintf(b, "  closed %v\n", c)
	}
}

func (s *story) printSession(b *strings.Builder, id SessionID) {
	e := s.engine
	info, found := e.Session(id)
	if !found {
		require.Nil(s.t, e.SessionGrants(id))
		require.Nil(s.t, e.SessionWaiters(id))
		require.Nil(s.t, e.SessionEnded(id))
		b.WriteString("gone\n")
		return
	}
	fmt.Fprintf(b, "%v incarnation=%d silence=%v grants=%d waiters=%d changed=%v last sequence=%d\n",
		info.State, info.Incarnation, info.Silence, info.Grants, info.Waiters, info.GrantsChanged, info.LastSequence)
	for _, g := range e.SessionGrants(id) {
		fmt.Fprintf(b, "  holds %v\n", g)
		same, found := e.FindGrant(g.Path, g.Session, g.Owner)
		require.True(s.t, found && reflect.DeepEqual(g, same))
	}
	for _, w := range e.SessionWaiters(id) {
		fmt.Fprintf(b, "  waits %v\n", w)
	}
	for _, o := range e.SessionEnded(id) {
		fmt.Fprintf(b, "  ended %v\n", o)
	}
}

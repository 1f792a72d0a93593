package engine

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// says puts an answer in a word or two.
func says(r Result) string {
	switch r := r.(type) {
	case *OfficeTaken:
		return "office"
	case *Opened:
		return "opened"
	case *TakenOver:
		return "taken over"
	case *Done:
		return "done"
	case *Granted:
		return "granted"
	case *Queued:
		return "queued"
	case *Released:
		return "released"
	case *Cancelled:
		return r.Outcome.String()
	case *Refused:
		return r.Reason.String()
	default:
		return "?"
	}
}

// Session 1 is brought into each state, and each command is tried there.
func TestEverySessionStateAndCommand(t *testing.T) {
	takeOver := &TakeOver{Session: 1, SecretHash: [32]byte{1}, Principal: "p", Nonce: 1}
	header := func(incarnation uint32, q uint64) Request {
		return Request{Session: 1, Incarnation: incarnation, Sequence: q}
	}
	// In every state session 1 has held /a (token 1) and waited for /b, which
	// session 2 holds, with sequences 1 and 2.
	states := map[string]struct {
		limits      func(*Limits)
		incarnation uint32
		reach       []Command
	}{
		"ALIVE":            {nil, 1, nil},
		"JEOPARDY":         {nil, 1, []Command{&Silent{Term: 1, Session: 1, Observed: time.Second}}},
		"EXPIRED":          {func(l *Limits) { l.FreedPerEntry = 1 }, 1, []Command{&ExpireSession{Term: 1, Session: 1}}},
		"EXPIRED by end":   {func(l *Limits) { l.FreedPerEntry = 1 }, 1, []Command{&EndSession{header(1, 9)}}},
		"gone":             {nil, 1, []Command{&ExpireSession{Term: 1, Session: 1}}},
		"left":             {nil, 1, []Command{&Leave{header(1, 9)}}},
		"taken over":       {nil, 2, []Command{takeOver}},
		"superseded":       {nil, 1, []Command{takeOver}},
		"taken over, left": {nil, 2, []Command{&Leave{header(1, 9)}, takeOver}},
	}
	commands := map[string]func(incarnation uint32) Command{
		"open":     func(uint32) Command { return openOf(1) },
		"takeover": func(uint32) Command { return &TakeOver{Session: 1, SecretHash: [32]byte{1}, Principal: "p", Nonce: 2} },
		"leave":    func(i uint32) Command { return &Leave{header(i, 20)} },
		"end":      func(i uint32) Command { return &EndSession{header(i, 20)} },
		"silent":   func(uint32) Command { return &Silent{Term: 1, Session: 1, Observed: time.Second} },
		"alive":    func(uint32) Command { return &Alive{Term: 1, Session: 1} },
		"expire":   func(uint32) Command { return &ExpireSession{Term: 1, Session: 1} },
		"acquire":  func(i uint32) Command { return &Acquire{Request: header(i, 20), Owner: 3, Path: "/c", Mode: Shared} },
		"release":  func(i uint32) Command { return &Release{Request: header(i, 20), Owner: 1, Path: "/a", Token: 1} },
		"cancel":   func(i uint32) Command { return &Cancel{Request: header(i, 20), Target: 2} },
		"future":   func(i uint32) Command { return &Release{Request: header(i+1, 20), Owner: 1, Path: "/a", Token: 1} },
		"old term": func(uint32) Command { return &ExpireSession{Term: 2, Session: 1} },
	}
	all := func(answer string) map[string]string {
		row := map[string]string{}
		for name := range commands {
			row[name] = answer
		}
		row["old term"] = "stale term"
		return row
	}
	with := func(row map[string]string, changes map[string]string) map[string]string {
		maps.Copy(row, changes)
		return row
	}
	living := map[string]string{
		"open": "opened", "takeover": "taken over", "leave": "done", "end": "done", "silent": "done", "alive": "done",
		"expire": "done", "acquire": "granted", "release": "released", "cancel": "withdrawn", "future": "invalid",
	}
	service := map[string]string{"silent": "done", "alive": "done", "expire": "done", "takeover": "taken over"}
	superseded := with(with(all("session superseded"), service), map[string]string{"future": "invalid"})
	want := map[string]map[string]string{
		"ALIVE":            with(all(""), living),
		"JEOPARDY":         with(all(""), living),
		"EXPIRED":          all("session expired"),
		"EXPIRED by end":   all("session expired"),
		"gone":             with(all("session unknown"), map[string]string{"open": "opened"}),
		"left":             maps.Clone(superseded),
		"taken over":       with(with(all(""), living), map[string]string{"open": "session superseded", "end": "embargoed", "release": "embargoed"}),
		"superseded":       with(maps.Clone(superseded), map[string]string{"future": "embargoed"}), // it is the one that took over
		"taken over, left": with(with(all(""), living), map[string]string{"open": "session superseded"}),
	}
	for state, s := range states {
		for name, command := range commands {
			t.Run(state+"/"+name, func(t *testing.T) {
				tr := newTrial(t, s.limits)
				tr.fine(tr.do(&Acquire{Request: header(1, 1), Owner: 1, Path: "/a", Mode: Exclusive}))
				tr.fine(tr.do(&Acquire{Request: tr.request(2), Owner: 1, Path: "/b", Mode: Exclusive}))
				tr.fine(tr.do(&Acquire{Request: header(1, 2), Owner: 1, Path: "/b", Mode: Exclusive, Wait: WaitForever}))
				// Three more to free, so that EXPIRED lasts over the next entry.
				for i := range uint64(3) {
					tr.fine(tr.do(&Acquire{Request: header(1, 3+i), Owner: OwnerID(i + 1), Path: "/z", Mode: Shared}))
				}
				for _, c := range s.reach {
					tr.fine(tr.do(c))
				}
				assert.Equal(t, want[state][name], says(tr.do(command(s.incarnation))))
			})
		}
	}
}

// The lock /a is brought into each state, and session 1, owner 1, tries each
// command.
func TestEveryLockStateAndCommand(t *testing.T) {
	const late = 5 * time.Second
	r := func(id SessionID, q uint64) Request { return Request{Session: id, Incarnation: 1, Sequence: q} }
	acquire := func(id SessionID, q uint64, m Mode, w Waiting, hold time.Duration) Command {
		return &Acquire{Request: r(id, q), Owner: 1, Path: "/a", Mode: m, Wait: w, Hold: hold}
	}
	delayed := func(m Mode) Command {
		return &Acquire{Request: r(2, 1), Owner: 1, Path: "/a", Mode: m, Hold: time.Second, Delay: time.Hour}
	}
	// decoy has an earlier deadline, so that with one deadline an entry, /a's is
	// overdue when the command comes.
	decoy := &Acquire{Request: r(2, 50), Owner: 9, Path: "/decoy", Mode: Shared, Hold: time.Millisecond}
	states := map[string][]Command{
		"FREE":                      nil,
		"HELD by it, shared":        {acquire(1, 1, Shared, NoWait, 0)},
		"HELD by it":                {acquire(1, 1, Exclusive, NoWait, 0)},
		"HELD by another, shared":   {acquire(2, 1, Shared, NoWait, 0)},
		"HELD by another":           {acquire(2, 1, Exclusive, NoWait, 0)},
		"QUEUED, it waits":          {acquire(2, 1, Exclusive, NoWait, 0), acquire(1, 1, Exclusive, WaitForever, 0)},
		"QUEUED behind a reader":    {acquire(2, 1, Shared, NoWait, 0), acquire(3, 1, Exclusive, WaitForever, 0)},
		"HELD by it, others wait":   {acquire(1, 1, Shared, NoWait, 0), acquire(2, 1, Exclusive, WaitForever, 0)},
		"CLOSED":                    {delayed(Exclusive), &Tick{Term: 1}},
		"CLOSED, shared":            {delayed(Shared), &Tick{Term: 1}},
		"its grant EXPIRED, shared": {decoy, acquire(1, 1, Shared, NoWait, time.Second)},
		"another's EXPIRED, shared": {decoy, acquire(2, 1, Shared, NoWait, time.Second)},
		"another's EXPIRED":         {decoy, acquire(2, 1, Exclusive, NoWait, time.Second)},
	}
	commands := map[string]Command{
		"try shared":     acquire(1, 9, Shared, NoWait, 0),
		"try exclusive":  acquire(1, 9, Exclusive, NoWait, 0),
		"wait shared":    acquire(1, 9, Shared, WaitForever, 0),
		"wait exclusive": acquire(1, 9, Exclusive, WaitForever, 0),
		"release":        &Release{Request: r(1, 9), Owner: 1, Path: "/a", Token: 1},
		"cancel":         &Cancel{Request: r(1, 9), Target: 1},
	}
	order := []string{"try shared", "try exclusive", "wait shared", "wait exclusive", "release", "cancel"}
	want := map[string][]string{
		"FREE":                      {"granted", "granted", "granted", "granted", "not holder", "never executed"},
		"HELD by it, shared":        {"granted", "conversion", "granted", "conversion", "released", "was granted"},
		"HELD by it":                {"conversion", "granted", "conversion", "granted", "released", "was granted"},
		"HELD by another, shared":   {"granted", "held", "granted", "queued", "not holder", "never executed"},
		"HELD by another":           {"held", "held", "queued", "queued", "not holder", "never executed"},
		"QUEUED, it waits":          {"already waiting", "already waiting", "already waiting", "already waiting", "not holder", "withdrawn"},
		"QUEUED behind a reader":    {"held", "held", "queued", "queued", "not holder", "never executed"},
		"HELD by it, others wait":   {"granted", "conversion", "granted", "conversion", "released", "was granted"},
		"CLOSED":                    {"held", "held", "queued", "queued", "not holder", "never executed"},
		"CLOSED, shared":            {"granted", "held", "granted", "queued", "not holder", "never executed"},
		"its grant EXPIRED, shared": {"held", "held", "queued", "queued", "released", "was granted"},
		"another's EXPIRED, shared": {"granted", "held", "granted", "queued", "not holder", "never executed"},
		"another's EXPIRED":         {"held", "held", "queued", "queued", "not holder", "never executed"},
	}
	require.Equal(t, len(states), len(want))
	for state, reach := range states {
		for i, name := range order {
			t.Run(state+"/"+name, func(t *testing.T) {
				tr := newTrial(t, func(l *Limits) { l.DuePerEntry = 1 })
				tr.fine(tr.do(openOf(3)))
				for _, c := range reach {
					now := time.Duration(0)
					if _, isTick := c.(*Tick); isTick {
						now = time.Second
					}
					tr.fine(tr.at(now, c))
				}
				c := commands[name]
				if release, isRelease := c.(*Release); isRelease {
					if g, held := tr.FindGrant("/a", 1, 1); held {
						named := *release
						named.Token, c = g.Token, &named
					}
				}
				assert.Equal(t, want[state][i], says(tr.at(late, c)))
			})
		}
	}
	require.ElementsMatch(t, order, slices.Collect(maps.Keys(commands)))
}

func TestTransitionsRefuseIllegalEdges(t *testing.T) {
	for _, c := range []struct {
		name string
		from SessionState
		edge func(*session)
		want SessionState // 0: illegal
	}{
		{"ALIVE to JEOPARDY", SessionAlive, (*session).becomeJeopardy, SessionJeopardy},
		{"ALIVE to ALIVE", SessionAlive, (*session).becomeAlive, 0},
		{"ALIVE to EXPIRED", SessionAlive, func(s *session) { s.becomeExpired(false) }, SessionExpired},
		{"JEOPARDY to JEOPARDY", SessionJeopardy, (*session).becomeJeopardy, 0},
		{"JEOPARDY to ALIVE", SessionJeopardy, (*session).becomeAlive, SessionAlive},
		{"JEOPARDY to EXPIRED", SessionJeopardy, func(s *session) { s.becomeExpired(true) }, SessionExpired},
		{"EXPIRED to JEOPARDY", SessionExpired, (*session).becomeJeopardy, 0},
		{"EXPIRED to ALIVE", SessionExpired, (*session).becomeAlive, 0},
		{"EXPIRED to EXPIRED", SessionExpired, func(s *session) { s.becomeExpired(true) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &session{state: c.from}
			if c.want == 0 {
				assert.Panics(t, func() { c.edge(s) })
				return
			}
			c.edge(s)
			assert.Equal(t, c.want, s.state)
		})
	}
}

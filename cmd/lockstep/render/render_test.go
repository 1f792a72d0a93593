package render

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/client"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const second = client.LogTime(time.Second)

var (
	locks = Locks{
		Locks: []client.LockInfo{
			{
				Path: "/orders/eu/42", State: client.LockQueued, Waiters: 2, LastToken: 18446744073709551615, Now: 100 * second,
				Holders: []client.GrantInfo{{
					Path: "/orders/eu/42", Session: 7, Owner: 1 << 32, Mode: client.ModeExclusive, Token: 18446744073709551615, Floor: 41, Count: 1,
					Since: client.Position{Index: 90, N: 1}, SinceTime: 25 * second, Until: 130 * second,
				}},
			},
			{
				Path: "/reports", State: client.LockHeld, LastToken: 6, Now: 100 * second,
				Holders: []client.GrantInfo{
					{Path: "/reports", Session: 8, Mode: client.ModeShared, Token: 5, Floor: 3, Count: 1, SinceTime: 96 * second},
					{Path: "/reports", Session: 9, Mode: client.ModeShared, Token: 6, Floor: 3, Count: 2, SinceTime: 99 * second},
				},
			},
			{
				Path: "/settling", State: client.LockClosed, LastToken: 4, Now: 100 * second,
				Closures: []client.ClosureInfo{{Mode: client.ModeExclusive, Token: 4, Until: 4000 * second}},
			},
		},
		Read: client.ReadInfo{Node: "n1", Position: client.Position{Index: 120, N: 2}, Linearizable: true},
	}
	sessions = Sessions{
		Sessions: []client.SessionInfo{
			{Session: 7, Incarnation: 1, State: client.StateAlive, Principal: "operator", Label: "build@host:1234", TTL: 10 * time.Second, Grace: 4 * time.Second, Grants: 1},
			{Session: 8, Incarnation: 2, State: client.StateJeopardy, Principal: "operator", TTL: time.Hour, Grace: 24 * time.Minute, Silence: 15 * time.Minute, Waiters: 1},
			{Session: 9, Incarnation: 1, State: client.StateExpired, Ended: true, Principal: "operator", TTL: 36 * time.Hour, Grace: time.Hour},
		},
		Read: client.ReadInfo{Node: "n2", Position: client.Position{Index: 118}, Age: 300 * time.Millisecond},
	}
	waiters = Waiters{
		Waiters: []client.WaiterInfo{
			{Waiter: 3, Path: "/orders/eu/42", Session: 8, Mode: client.ModeExclusive, SinceTime: 40 * second},
			{Waiter: 5, Path: "/orders/eu/42", Session: 11, Mode: client.ModeShared, SinceTime: 98 * second, Deadline: 108 * second, Ahead: 1},
		},
		Read: client.ReadInfo{Linearizable: true}, Now: 100 * second,
	}
)

func node(name, role string, index uint64) Node {
	s := &client.Status{
		Node: name, Version: "v1", Cluster: "dev", Lineage: 1, Role: role, Term: 4, Position: client.Position{Index: index, N: 1},
		Serving: role == "leader", Quorum: role == "leader", Sessions: 1, Locks: 2, LastToken: 17, SnapshotIndex: 64, Uptime: 93 * time.Minute,
	}
	return Node{Node: name, Address: "127.0.0.1:741" + name[1:], Status: s}
}

func down(name string) Node {
	return Node{Node: name, Address: "127.0.0.1:741" + name[1:], Problem: "no answer within 2s"}
}

func TestGolden(t *testing.T) {
	event := func(e client.Event) func(io.Writer, Format) error {
		return func(w io.Writer, f Format) error { return WriteEvent(w, f, e) }
	}
	at := client.Position{Index: 12, N: 3}
	for _, c := range []struct {
		name  string
		write func(io.Writer, Format) error
	}{
		{"locks", func(w io.Writer, f Format) error { return WriteLocks(w, f, locks, "/") }},
		{"locks_none", func(w io.Writer, f Format) error { return WriteLocks(w, f, Locks{}, "/orders/") }},
		{"sessions", func(w io.Writer, f Format) error { return WriteSessions(w, f, sessions) }},
		{"sessions_none", func(w io.Writer, f Format) error { return WriteSessions(w, f, Sessions{}) }},
		{"waiters", func(w io.Writer, f Format) error { return WriteWaiters(w, f, waiters, "/") }},
		{"waiters_none", func(w io.Writer, f Format) error { return WriteWaiters(w, f, Waiters{}, "/orders") }},
		{"status", func(w io.Writer, f Format) error {
			return WriteStatus(w, f, NewCluster([]Node{node("n1", "follower", 98), node("n2", "leader", 100), down("n3")}))
		}},
		{"status_no_quorum", func(w io.Writer, f Format) error {
			return WriteStatus(w, f, NewCluster([]Node{node("n1", "follower", 98), down("n2"), down("n3")}))
		}},
		{"status_nobody", func(w io.Writer, f Format) error { return WriteStatus(w, f, NewCluster([]Node{down("n1")})) }},
		{"event_granted", event(client.Event{
			Position: at, Kind: client.EventGranted, Time: 5 * second, Path: "/a", Session: 7, Owner: 1 << 32,
			Mode: client.ModeExclusive, Token: 9, Floor: 8, Count: 1, Waiter: 4, Until: 65 * second,
		})},
		{"event_tenure", event(client.Event{Position: at, Kind: client.EventTenureBegan, Node: "n2", Term: 4})},
		{"event_ended", event(client.Event{
			Position: at, Kind: client.EventGrantEnded, Path: "/a", Session: 7, Mode: client.ModeShared, Token: 9, Reason: client.EndSessionExpired,
		})},
		{"event_listing", event(client.Event{Position: at, Kind: client.EventListing, Locks: locks.Locks})},
		{"gap", func(w io.Writer, f Format) error {
			return WriteGap(w, f, &client.HistoryGoneError{Oldest: client.Position{Index: 40}, Locks: locks.Locks[1:2], Position: at})
		}},
	} {
		for _, format := range Formats() {
			t.Run(c.name+"/"+format, func(t *testing.T) {
				var b bytes.Buffer
				require.NoError(t, c.write(&b, Format(format)))
				file := filepath.Join("testdata", c.name+"."+format)
				if *update {
					require.NoError(t, os.WriteFile(file, b.Bytes(), 0o644))
				}
				want, err := os.ReadFile(file)
				require.NoError(t, err, "run the test with -update to make it")
				assert.Equal(t, string(want), b.String())
			})
		}
	}
}

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Second, "0s"},
		{0, "0ms"},
		{350 * time.Millisecond, "350ms"},
		{2 * time.Second, "2s"},
		{2340 * time.Millisecond, "2.3s"},
		{45*time.Second + 300*time.Millisecond, "45s"},
		{75 * time.Second, "1m15s"},
		{2 * time.Minute, "2m"},
		{93 * time.Minute, "1h33m"},
		{49 * time.Hour, "2d1h"},
	} {
		t.Run(c.want, func(t *testing.T) { assert.Equal(t, c.want, span(c.d)) })
	}
}

func TestParseFormat(t *testing.T) {
	for _, f := range Formats() {
		got, err := ParseFormat(f)
		require.NoError(t, err)
		assert.Equal(t, f, string(got))
	}
	_, err := ParseFormat("jsn")
	require.Error(t, err)
	assert.Contains(t, err.Error(), `did you mean "json"?`)
}

// A deposed leader that does not know it yet must not pass as the leader.
func TestLeaderOfTheHighestTermCounts(t *testing.T) {
	old, current := node("n1", "leader", 90), node("n2", "leader", 95)
	current.Status.Term = 5
	for _, nodes := range [][]Node{{old, current}, {current, old}} {
		assert.Equal(t, "n2", NewCluster(nodes).Leader)
	}
}

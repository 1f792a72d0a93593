package engine

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestViewAnswersAsTheEngineDid(t *testing.T) {
	e := lived(t)
	v := e.View()
	want := []any{e.Index(), e.Term(), e.Time(), e.Lineage(), e.Counts()}
	sessions := slices.Collect(e.Sessions())
	c, held := e.Lock("/c")
	require.True(t, held)

	e.Apply(Entry{Index: e.Index() + 1, Term: 2, Batch: Batch{Time: MaxLogTime, Commands: []Command{openOf(9), &Tick{Term: 2}}}})
	e.NoteIndex(1000)
	e.NoteIndex(3)
	assert.EqualValues(t, 1000, e.Index(), "an index never goes back")
	assert.Equal(t, want, []any{v.Index(), v.Term(), v.Time(), v.Lineage(), v.Counts()})
	assert.Equal(t, sessions, slices.Collect(v.Sessions(0)))
	assert.Equal(t, sessions[1:], slices.Collect(v.Sessions(1)))
	assert.Empty(t, slices.Collect(v.Sessions(^SessionID(0))))
	assert.Equal(t, []LockInfo{c}, slices.Collect(v.Locks("/c", "")))
	assert.NotEqual(t, sessions, slices.Collect(e.Sessions()))
}

func TestListingsStopWhenAsked(t *testing.T) {
	e := lived(t)
	v := e.View()
	for range v.Locks("", "") {
		break
	}
	for range v.Locks("/a", "") {
		break
	}
	for range v.Sessions(0) {
		break
	}
	for range e.Sessions() {
		break
	}
	n := 0
	for w := range v.Waiters("", "", 0) {
		assert.Equal(t, "/a", w.Path)
		n++
		break
	}
	assert.Equal(t, 1, n)
	_, found := e.FindGrant("/nowhere", 1, 1)
	assert.False(t, found)
	_, found = e.FindGrant("/b", 99, 1)
	assert.False(t, found)
	_, found = e.FindGrant("/b", 2, 1)
	assert.False(t, found)
}

// A listing page by page is the listing at once.
func TestProp_PagesMakeTheListing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := openSessions(&quietTB{}, 3)
		names := []string{"a", "a-b", "b", "b!", "c"}
		q := map[SessionID]uint64{}
		for range pick(t, 60, "requests") {
			path := "/" + oneOf(t, names, "name")
			for range pick(t, 3, "depth") {
				path += "/" + oneOf(t, names, "name")
			}
			id := SessionID(1 + pick(t, 3, "session"))
			q[id]++
			e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: Batch{Commands: []Command{&Acquire{
				Request: Request{Session: id, Incarnation: 1, Sequence: q[id], AckedThrough: q[id] - 1},
				Owner:   OwnerID(q[id]), Path: path, Mode: Exclusive, Wait: WaitForever,
			}}}})
		}
		v := e.View()
		prefix := oneOf(t, []string{"", "/", "/a", "/a/b", "/b", "/a-b"}, "prefix")
		var want []string
		for l := range v.Locks("", "") {
			if within(l.Path, prefix) {
				want = append(want, l.Path)
			}
		}
		slices.SortStableFunc(want, func(a, b string) int { // the prefix itself comes first
			return boolInt(b == prefix) - boolInt(a == prefix)
		})
		var got []string
		for after := ""; ; {
			n := 0
			for l := range v.Locks(prefix, after) {
				if n == 3 {
					break
				}
				n++
				got, after = append(got, l.Path), l.Path
			}
			if n == 0 {
				break
			}
		}
		require.Equal(t, want, got)
		waiters := slices.Collect(v.Waiters(prefix, "", 0))
		var paged []Waiter
		for path, id := "", WaiterID(0); ; {
			n := 0
			for w := range v.Waiters(prefix, path, id) {
				if n == 2 {
					break
				}
				n++
				paged = append(paged, w)
				path, id = w.Path, w.ID
			}
			if n == 0 {
				break
			}
		}
		require.Equal(t, waiters, paged)
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// quietTB lets a helper for tests run inside rapid.
type quietTB struct{ testing.TB }

func (*quietTB) Helper() {}

// With -race: many readers look at views while the engine goes on.
func TestViewsAreReadBesideApplies(t *testing.T) {
	const sessions = 16
	e := openSessions(t, sessions)
	p := newPairs(sessions)
	var wg sync.WaitGroup
	for n := range 300 {
		e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: p.batch(n, LogTime(n)*LogTime(time.Second))})
		if n%10 != 0 {
			continue
		}
		v, counts := e.View(), e.Counts()
		var at bytes.Buffer
		require.NoError(t, v.WriteSnapshot(&at))
		wg.Go(func() {
			grants := uint64(0)
			for l := range v.Locks("", "") {
				grants += uint64(len(l.Holders))
			}
			assert.Equal(t, counts.Grants, grants)
			var later bytes.Buffer
			assert.NoError(t, v.WriteSnapshot(&later))
			assert.True(t, bytes.Equal(at.Bytes(), later.Bytes()))
		})
	}
	wg.Wait()
	require.NoError(t, e.CheckInvariants())
}

// The digest is the same whether it is asked for often, seldom, or added up on the
// way because much has changed.
func TestDigestDoesNotDependOnWhenItIsAsked(t *testing.T) {
	often, seldom := openSessions(t, 2), openSessions(t, 2)
	for i := range 2*unsettled + 100 {
		entry := Entry{Index: often.Index() + 1, Term: 1, Batch: Batch{Commands: []Command{&Acquire{
			Request: Request{Session: 1, Incarnation: 1, Sequence: uint64(i + 1), AckedThrough: uint64(i)},
			Owner:   1, Path: fmt.Sprintf("/a/%d", i), Mode: Exclusive,
		}}}}
		often.Apply(entry)
		seldom.Apply(entry)
		require.LessOrEqual(t, len(seldom.digest.locks), unsettled)
		if i%7 == 0 {
			often.Digest()
		}
	}
	require.Equal(t, often.Digest(), seldom.Digest())
	require.NoError(t, seldom.CheckInvariants())
}

// Different states have different digests: each field counts.
func TestDigestSeesEveryChange(t *testing.T) {
	seen := map[uint64]int{}
	note := func(step int, e *Engine) {
		before, again := seen[e.Digest()]
		require.False(t, again, "steps %d and %d", before, step)
		seen[e.Digest()] = step
	}
	e := lived(t)
	note(0, e)
	for i, limit := range e.limits.all() {
		*limit++
		note(1+i, e)
	}
	for i, change := range []func(){
		func() { e.lineage++ }, func() { e.index++ }, func() { e.term++ }, func() { e.time++ },
		func() { e.tenure.Node = "other" }, func() { e.tenure.Term++ }, func() { e.tenure.Began++ },
		func() { e.tenures.seen++ }, func() { e.tenures.began[0]++ },
		func() { e.lastSession++ }, func() { e.lastWaiter++ }, func() { e.lastToken++ },
	} {
		change()
		note(10+i, e)
	}
}

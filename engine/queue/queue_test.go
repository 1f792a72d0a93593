package queue

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lockstep/engine/mode"
)

func TestFIFOIsTheOrderOfTheLog(t *testing.T) {
	first := FIFO(Arrival{Index: 7, Waiter: 1})
	second := FIFO(Arrival{Index: 7, Waiter: 2})
	third := FIFO(Arrival{Index: 8, Waiter: 3})
	assert.Negative(t, first.Compare(second))
	assert.Negative(t, second.Compare(third))
	assert.Positive(t, third.Compare(first))
	assert.Zero(t, third.Compare(third))
}

func TestEmptyLine(t *testing.T) {
	l := New[string]()
	assert.Zero(t, l.Len())
	assert.Zero(t, l.ModesAhead(Key{9, 9}))
	assert.Empty(t, l.Grantable(nil, 0, func(string) bool { return true }))
	_, found := l.Get(Key{1, 1})
	assert.False(t, found)
}

func TestAllStopsWhenAsked(t *testing.T) {
	l := New[int]()
	for i := range 5 {
		l.Enter(0, Key{int64(i), 0}, mode.Shared, i)
	}
	for k, r := range l.All() {
		assert.Equal(t, k.Rank, int64(r))
		if r == 3 {
			break
		}
	}
}

type request struct {
	key Key
	m   mode.Mode
	fit bool
}

// obvious is the rule as people say it: one after the other, a request is
// granted if it gets on with all that are granted and all refused before it.
func obvious(line []request, granted []mode.Mode) (keys []Key) {
	var refused []mode.Mode
	for _, r := range line {
		ok := r.fit
		for _, m := range slices.Concat(granted, refused) {
			ok = ok && mode.Compatible(r.m, m)
		}
		if ok {
			keys = append(keys, r.key)
			granted = append(granted, r.m)
		} else {
			refused = append(refused, r.m)
		}
	}
	return keys
}

func TestProp_GrantableIsTheObviousRule(t *testing.T) {
	modes := rapid.SampledFrom([]mode.Mode{mode.Shared, mode.Exclusive})
	rapid.Check(t, func(t *rapid.T) {
		l := New[request]()
		var line []request
		for i := range rapid.IntRange(0, 60).Draw(t, "arrivals") {
			r := request{
				key: Key{rapid.Int64Range(0, 9).Draw(t, "rank"), uint64(i)},
				m:   modes.Draw(t, "mode"),
				fit: rapid.IntRange(0, 4).Draw(t, "fit") > 0,
			}
			l.Enter(1, r.key, r.m, r)
			line = append(line, r)
		}
		slices.SortFunc(line, func(a, b request) int { return a.key.Compare(b.key) })
		for len(line) > 0 && rapid.IntRange(0, 3).Draw(t, "leave") > 0 {
			i := rapid.IntRange(0, len(line)-1).Draw(t, "who")
			l.Leave(1, line[i].key)
			line = slices.Delete(line, i, i+1)
		}
		require.Equal(t, len(line), l.Len())
		var granted []mode.Mode
		var set mode.Set
		for range rapid.IntRange(0, 2).Draw(t, "granted") {
			m := modes.Draw(t, "granted mode")
			granted = append(granted, m)
			set = set.With(m)
		}
		got := l.Grantable(nil, set, func(r request) bool { return r.fit })
		require.Equal(t, obvious(line, granted), got)
		for i, r := range line {
			var ahead mode.Set
			for _, before := range line[:i] {
				ahead = ahead.With(before.m)
			}
			require.Equal(t, i, l.Ahead(r.key))
			require.Equal(t, ahead, l.ModesAhead(r.key))
			found, ok := l.Get(r.key)
			require.True(t, ok)
			require.Equal(t, r, found)
		}
	})
}

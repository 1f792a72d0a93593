package client

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestProp_WindowAgreesWithSet compares the bit arithmetic with a set of
// unanswered sequences.
func TestProp_WindowAgreesWithSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		used := rapid.Uint64Range(0, 1<<40).Draw(t, "used")
		w := newWindow(used)
		last, open := used, map[uint64]bool{}
		acked := func() uint64 {
			oldest := last + 1
			for s := range open {
				oldest = min(oldest, s)
			}
			return oldest - 1
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				got, ok := w.take()
				require.Equal(t, last-acked() < MaxOutstanding, ok, "room")
				if ok {
					last++
					require.Equal(t, last, got)
					open[got] = true
				}
			},
			"answer": func(t *rapid.T) {
				s := rapid.Uint64Range(used, last+2).Draw(t, "sequence")
				w.answer(s)
				delete(open, s)
			},
			"": func(t *rapid.T) { require.Equal(t, acked(), w.acked) },
		})
	})
}

func TestWindowFillsAndDrains(t *testing.T) {
	w := newWindow(0)
	for want := uint64(1); want <= MaxOutstanding; want++ {
		got, ok := w.take()
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	_, ok := w.take()
	assert.False(t, ok, "the window is full")
	for s := uint64(2); s <= MaxOutstanding; s++ {
		w.answer(s)
	}
	_, ok = w.take()
	assert.False(t, ok, "the oldest is still unanswered")
	w.answer(1)
	assert.EqualValues(t, MaxOutstanding, w.acked)
	assert.Zero(t, w.answered)
}

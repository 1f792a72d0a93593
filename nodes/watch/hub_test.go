package watch_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lockstep/engine"
	"lockstep/nodes/replica"
	"lockstep/nodes/watch"
)

func config() watch.Config {
	cfg := watch.DefaultConfig()
	cfg.Events, cfg.FrameEvents = 100, 4
	return cfg
}

func newHub(t require.TestingT, cfg watch.Config) *watch.Hub {
	h, err := watch.New(cfg)
	require.NoError(t, err)
	return h
}

// feed applies an entry whose events are on these paths.
func feed(h *watch.Hub, index uint64, paths ...string) {
	applied := &replica.Applied{Entry: engine.Entry{Index: index}}
	for i, path := range paths {
		applied.Outcome.Events = append(applied.Outcome.Events, engine.Event{
			Position: engine.Position{Index: index, N: uint32(i + 1)}, Kind: engine.EventGranted, Path: path,
		})
	}
	h.Applied(nil, applied)
}

func at(index uint64, n uint32) engine.Position { return engine.Position{Index: index, N: n} }

func readAll(t require.TestingT, h *watch.Hub, from uint64) []engine.Position {
	var got []engine.Position
	buffer := make([]engine.Event, 0, 3)
	for {
		events, next, _, err := h.Read(from, buffer)
		require.NoError(t, err)
		for _, e := range events {
			got = append(got, e.Position)
		}
		if next == from {
			return got
		}
		from = next
	}
}

func TestResumeGivesExactlyWhatCameAfter(t *testing.T) {
	h := newHub(t, config())
	feed(h, 5, "/a", "/b", "/c")
	feed(h, 6)
	feed(h, 9, "/d")
	all := []engine.Position{at(5, 1), at(5, 2), at(5, 3), at(9, 1)}
	for name, c := range map[string]struct {
		after engine.Position
		want  []engine.Position
	}{
		"from the beginning":           {at(0, 0), all},
		"before an entry":              {at(5, 0), all},
		"inside an entry":              {at(5, 2), all[2:]},
		"at the end of an entry":       {at(5, 3), all[3:]},
		"after the end of an entry":    {at(5, math.MaxUint32), all[3:]},
		"at an entry without events":   {at(6, 0), all[3:]},
		"at the last event":            {at(9, 1), nil},
		"further than this node knows": {at(50, 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			from, err := h.Seek(c.after)
			require.NoError(t, err)
			assert.Equal(t, c.want, readAll(t, h, from))
		})
	}
}

func TestForgottenHistoryIsRefusedWithTheOldestPosition(t *testing.T) {
	cfg := config()
	cfg.Events = 4
	h := newHub(t, cfg)
	for index := uint64(1); index <= 6; index++ {
		feed(h, index, "/a")
	}
	_, err := h.Seek(at(1, 1))
	var gone *watch.HistoryGoneError
	require.ErrorAs(t, err, &gone)
	assert.Equal(t, at(2, 1), gone.Oldest)
	from, err := h.Seek(gone.Oldest)
	require.NoError(t, err, "the oldest position can be resumed after")
	assert.Equal(t, []engine.Position{at(3, 1), at(4, 1), at(5, 1), at(6, 1)}, readAll(t, h, from))
}

func TestBytesBoundHistoryToo(t *testing.T) {
	cfg := config()
	cfg.Bytes = 1000
	h := newHub(t, cfg)
	for index := uint64(1); index <= 50; index++ {
		feed(h, index, "/a/rather/long/path")
	}
	assert.LessOrEqual(t, h.Stats().Bytes, cfg.Bytes)
	assert.NotZero(t, h.Stats().Kept)
}

func TestSlowReaderIsToldOfTheGap(t *testing.T) {
	cfg := config()
	cfg.Events = 4
	h := newHub(t, cfg)
	feed(h, 1, "/a")
	from, err := h.Seek(at(0, 0))
	require.NoError(t, err)
	for index := uint64(2); index <= 9; index++ {
		feed(h, index, "/a")
	}
	_, _, _, err = h.Read(from, make([]engine.Event, 0, 8))
	require.ErrorIs(t, err, watch.ErrGap)
}

func TestRestoredStateBreaksEveryReader(t *testing.T) {
	h := newHub(t, config())
	feed(h, 1, "/a")
	from, err := h.Seek(at(1, 1))
	require.NoError(t, err)
	e := engine.New(engine.DefaultConfig(1))
	e.NoteIndex(100)
	h.Restored(e)
	_, _, _, err = h.Read(from, make([]engine.Event, 0, 8))
	require.ErrorIs(t, err, watch.ErrGap, "what happened between 1 and 100 is unknown")
	_, err = h.Seek(at(99, 7))
	require.Error(t, err)
	from, err = h.Seek(at(100, math.MaxUint32))
	require.NoError(t, err)
	feed(h, 101, "/b")
	assert.Equal(t, []engine.Position{at(101, 1)}, readAll(t, h, from))
}

func TestWaitWakesWhenThereIsMore(t *testing.T) {
	h := newHub(t, config())
	changed := h.Wait(0)
	require.NotNil(t, changed)
	feed(h, 1, "/a")
	select {
	case <-changed:
	default:
		t.Fatal("not woken")
	}
	assert.Nil(t, h.Wait(0), "there is something to read")
}

func TestPrefixesAreCutAtSegments(t *testing.T) {
	for name, c := range map[string]struct {
		prefix, path string
		want         bool
	}{
		"itself":                    {"/a/b", "/a/b", true},
		"below":                     {"/a/b", "/a/b/c", true},
		"same letters":              {"/a/b", "/a/bc", false},
		"above":                     {"/a/b", "/a", false},
		"everything":                {"/", "/a", true},
		"everything, without paths": {"/", "", true},
		"nothing without a path":    {"/a", "", false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, watch.Under(c.prefix, c.path)) })
	}
}

// Whatever the bounds and the resume points: a reader that resumes at any position
// it was told of sees each event once, in order, or is told that history is gone.
func TestProp_NoGapsAndNoDoubles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := config()
		cfg.Events = rapid.IntRange(1, 40).Draw(t, "kept")
		h := newHub(t, cfg)
		var all []engine.Position
		index, told, seen := uint64(0), engine.Position{}, 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "feed") {
				index += uint64(rapid.IntRange(1, 3).Draw(t, "skip"))
				n := rapid.IntRange(0, 5).Draw(t, "events")
				feed(h, index, make([]string, n)...)
				for i := range n {
					all = append(all, at(index, uint32(i+1)))
				}
				continue
			}
			from, err := h.Seek(told)
			if err != nil {
				require.Greater(t, len(all)-seen, cfg.Events, "history is only gone when more was fed than is kept")
				told, seen = h.Head(), len(all)
				continue
			}
			events, _, through, err := h.Read(from, make([]engine.Event, 0, rapid.IntRange(1, 8).Draw(t, "buffer")))
			require.NoError(t, err)
			for _, e := range events {
				require.Equal(t, all[seen], e.Position)
				seen++
			}
			told = through
		}
	})
}

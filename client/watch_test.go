package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// watched answers watches from a list of events that grows.
type watched struct {
	s       *service
	oldest  uint64
	last    uint64
	starts  []*lockstepv1.StartWatch
	streams map[uint64]*fakeStream
}

func watches(s *service) *watched {
	w := &watched{s: s, streams: make(map[uint64]*fakeStream)}
	s.onWatch = func(o *fakeStream, start *lockstepv1.StartWatch) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.starts = append(w.starts, start)
		id := start.GetWatch()
		after := w.last
		if start.GetAfter() != nil {
			after = start.GetAfter().GetIndex()
		}
		switch {
		case start.GetWithListing():
			w.tell(o, &lockstepv1.WatchFrame{Watch: id, Body: &lockstepv1.WatchFrame_Listing{Listing: &lockstepv1.LockList{
				Locks: []*lockstepv1.Lock{{Path: "/a"}}, More: true, Info: &lockstepv1.ReadInfo{Position: at(w.last)},
			}}})
			w.tell(o, &lockstepv1.WatchFrame{Watch: id, Body: &lockstepv1.WatchFrame_Listing{Listing: &lockstepv1.LockList{
				Locks: []*lockstepv1.Lock{{Path: "/b"}}, Info: &lockstepv1.ReadInfo{Position: at(w.last)},
			}}})
		case after < w.oldest:
			w.tell(o, &lockstepv1.WatchFrame{Watch: id, Body: &lockstepv1.WatchFrame_Ended{Ended: &lockstepv1.WatchEnded{
				Reason: lockstepv1.WatchEnded_REASON_HISTORY_GONE, Oldest: at(w.oldest),
			}}})
			return
		}
		w.streams[id] = o
		w.tell(o, &lockstepv1.WatchFrame{Watch: id, Body: &lockstepv1.WatchFrame_Started{Started: &lockstepv1.WatchStarted{Position: at(after)}}})
		for n := after + 1; n <= w.last; n++ {
			w.tell(o, happened(id, n))
		}
	}
	return w
}

func at(index uint64) *lockstepv1.Position { return &lockstepv1.Position{Index: index, N: 1} }

func happened(id, n uint64) *lockstepv1.WatchFrame {
	return &lockstepv1.WatchFrame{Watch: id, Body: &lockstepv1.WatchFrame_Events{Events: &lockstepv1.WatchEvents{
		Events: []*lockstepv1.Event{{Kind: lockstepv1.EventKind_EVENT_KIND_GRANTED, Position: at(n), Token: n}}, Through: at(n),
	}}}
}

func (w *watched) tell(o *fakeStream, f *lockstepv1.WatchFrame) { _ = o.out.TryEnqueueMessage(f) }

// happen makes n more events.
func (w *watched) happen(n int) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	for range n {
		w.last++
		for id, o := range w.streams {
			w.tell(o, happened(id, w.last))
		}
	}
}

// collect runs a watch in the background.
func collect(ctx context.Context, c *Client, each func(Event), opts ...WatchOption) (done <-chan error) {
	ended := make(chan error, 1)
	go func() {
		var last error
		for e, err := range c.Watch(ctx, "/", opts...) {
			if err != nil {
				last = err
				continue
			}
			each(e)
		}
		ended <- last
	}()
	synctest.Wait()
	return ended
}

func TestWatchGoesOnAfterCuts(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		w := watches(s)
		c := s.connect(t, "c")
		ctx, cancel := context.WithCancel(t.Context())
		var got []Token
		done := collect(ctx, c.Client, func(e Event) { got = append(got, e.Token) })
		for range 10 {
			w.happen(5)
			synctest.Wait()
			s.with(func() { clear(w.streams) })
			s.net.CutConnections("c", "n1")
			w.happen(5)
			pass(time.Second)
		}
		cancel()
		require.NoError(t, <-done, "a context that ends is no error")
		require.Len(t, got, 100)
		for i, token := range got {
			require.EqualValues(t, i+1, token)
		}
	})
}

func TestWatchFromAPosition(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		w := watches(s)
		w.happen(10)
		c := s.connect(t, "c")
		var got []Token
		for e, err := range c.Watch(t.Context(), "/", After(Position{Index: 7, N: 1}), Exact()) {
			require.NoError(t, err)
			if got = append(got, e.Token); len(got) == 3 {
				break
			}
		}
		assert.Equal(t, []Token{8, 9, 10}, got)
		assert.True(t, w.starts[0].GetExact())
	})
}

func TestWatchWithListing(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		w := watches(s)
		w.happen(3)
		c := s.connect(t, "c")
		var got []Event
		ctx, cancel := context.WithCancel(t.Context())
		done := collect(ctx, c.Client, func(e Event) { got = append(got, e) }, WithListing())
		w.happen(1)
		synctest.Wait()
		cancel()
		require.NoError(t, <-done)
		require.Len(t, got, 2)
		assert.Equal(t, EventListing, got[0].Kind)
		assert.Equal(t, Position{Index: 3, N: 1}, got[0].Position)
		assert.Len(t, got[0].Locks, 2)
		assert.EqualValues(t, 4, got[1].Token)
	})
}

func TestWatchBehindTheHistoryStartsOverWithAListing(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		w := watches(s)
		w.happen(20)
		w.oldest = 10
		c := s.connect(t, "c")
		n := 0
		for e, err := range c.Watch(t.Context(), "/", After(Position{Index: 3, N: 1})) {
			if n++; n == 1 {
				var gone *HistoryGoneError
				require.ErrorAs(t, err, &gone)
				assert.Equal(t, Position{Index: 10, N: 1}, gone.Oldest)
				assert.Len(t, gone.Locks, 2)
				assert.Equal(t, Position{Index: 20, N: 1}, gone.Position)
				w.happen(1)
				continue
			}
			require.NoError(t, err)
			assert.EqualValues(t, 21, e.Token)
			break
		}
	})
}

func TestSlowWatchIsHaltedAndMissesNothing(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		w := watches(s)
		c := s.connect(t, "c")
		hold := make(chan struct{})
		var slow, quick []Token
		ctx, cancel := context.WithCancel(t.Context())
		slowDone := collect(ctx, c.Client, func(e Event) {
			<-hold
			slow = append(slow, e.Token)
		})
		quickDone := collect(ctx, c.Client, func(e Event) { quick = append(quick, e.Token) })
		const all = 2*MaxWatchBuffer + 100
		w.happen(all)
		synctest.Wait()
		assert.Len(t, quick, all, "nobody waits for the slow one")
		close(hold)
		synctest.Wait()
		cancel()
		require.NoError(t, <-slowDone)
		require.NoError(t, <-quickDone)
		require.Len(t, slow, all)
		for i, token := range slow {
			require.EqualValues(t, i+1, token)
		}
		assert.Greater(t, len(w.starts), 2, "it was started again")
	})
}

func TestInvalidWatchEnds(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		s.onWatch = func(o *fakeStream, start *lockstepv1.StartWatch) {
			_ = o.out.TryEnqueueMessage(&lockstepv1.WatchFrame{Watch: start.GetWatch(), Body: &lockstepv1.WatchFrame_Ended{Ended: &lockstepv1.WatchEnded{
				Reason: lockstepv1.WatchEnded_REASON_INVALID, Detail: "no such prefix",
			}}})
		}
		c := s.connect(t, "c")
		n := 0
		for _, err := range c.Watch(t.Context(), "nonsense") {
			n++
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorContains(t, err, "no such prefix")
		}
		assert.Equal(t, 1, n)
		for _, err := range c.Watch(t.Context(), string(make([]byte, MaxText+1))) {
			require.ErrorIs(t, err, ErrInvalid)
		}
	})
}

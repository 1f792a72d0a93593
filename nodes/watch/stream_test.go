package watch_test

import (
	"bytes"
	"context"
	"io"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/replica"
	"lockstep/nodes/watch"
	"lockstep/transport"
)

// client is the other end of a stream of watches.
type client struct {
	t      *testing.T
	toNode *io.PipeWriter
	frames chan *lockstepv1.WatchFrame
	done   chan struct{}
	// stall, while it is held, keeps the node's writes from returning.
	stall sync.Mutex

	mu            sync.Mutex
	closed, reset bool
}

func (c *client) Write(p []byte) (int, error) {
	c.stall.Lock()
	defer c.stall.Unlock()
	frames := transport.NewFrameReader(bytes.NewReader(p), transport.MaxFrame)
	for {
		f := new(lockstepv1.WatchFrame)
		if err := transport.ReadMessage(frames, f); err != nil {
			return len(p), nil
		}
		c.frames <- f
	}
}

func (c *client) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *client) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset = true
	c.toNode.Close()
}

func (c *client) SetWriteDeadline(time.Time) error { return nil }

// state is the replica as listings see it.
type state struct {
	mu     sync.Mutex
	engine *engine.Engine
	hub    *watch.Hub
	index  uint64
}

func (s *state) Locked(f func(e *engine.Engine)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.engine)
}

// apply runs commands through a real engine.
func (s *state) apply(commands ...engine.Command) engine.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	entry := engine.Entry{Index: s.index, Term: 1, Batch: engine.Batch{Time: engine.LogTime(s.index), Commands: commands}}
	applied := &replica.Applied{Entry: entry, Outcome: s.engine.Apply(entry)}
	s.hub.Applied(s.engine, applied)
	return applied.Outcome
}

func newState(hub *watch.Hub) *state {
	return &state{engine: engine.New(engine.DefaultConfig(1)), hub: hub}
}

func connect(t *testing.T, hub *watch.Hub, source watch.Source, clock clockwork.Clock) *client {
	t.Helper()
	fromClient, toNode := io.Pipe()
	c := &client{t: t, toNode: toNode, frames: make(chan *lockstepv1.WatchFrame, 4096), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		deps := watch.Deps{Source: source, Clock: clock, Node: "n1"}
		hub.Serve(context.Background(), deps, c, transport.NewFrameReader(fromClient, 1<<20))
	}()
	t.Cleanup(func() {
		c.toNode.Close()
		<-c.done
	})
	return c
}

func (c *client) start(s *lockstepv1.StartWatch) {
	c.send(&lockstepv1.WatchRequest{Body: &lockstepv1.WatchRequest_Start{Start: s}})
}

func (c *client) send(r *lockstepv1.WatchRequest) {
	c.t.Helper()
	frame, err := transport.AppendMessage(nil, r)
	require.NoError(c.t, err)
	_, err = c.toNode.Write(frame)
	require.NoError(c.t, err)
}

func (c *client) next() *lockstepv1.WatchFrame {
	c.t.Helper()
	select {
	case f := <-c.frames:
		return f
	case <-clockwork.NewRealClock().After(10 * time.Second):
		c.t.Fatal("no frame")
		return nil
	}
}

func (c *client) started(id uint64) engine.Position {
	c.t.Helper()
	f := c.next()
	require.Equal(c.t, id, f.GetWatch())
	require.NotNil(c.t, f.GetStarted(), "%v", f)
	p := f.GetStarted().GetPosition()
	return engine.Position{Index: p.GetIndex(), N: p.GetN()}
}

// events reads n events of a watch.
func (c *client) events(id uint64, n int) []string {
	c.t.Helper()
	var got []string
	for len(got) < n {
		f := c.next()
		require.Equal(c.t, id, f.GetWatch())
		require.NotNil(c.t, f.GetEvents(), "%v", f)
		for _, e := range f.GetEvents().GetEvents() {
			got = append(got, e.GetPath())
		}
	}
	return got
}

func (c *client) ended(id uint64) *lockstepv1.WatchEnded {
	c.t.Helper()
	f := c.next()
	require.Equal(c.t, id, f.GetWatch())
	require.NotNil(c.t, f.GetEnded(), "%v", f)
	return f.GetEnded()
}

func TestWatchesHearOfWhatConcernsThem(t *testing.T) {
	hub := newHub(t, config())
	c := connect(t, hub, newState(hub), clockwork.NewFakeClock())
	c.start(&lockstepv1.StartWatch{Watch: 1, Prefix: "/a"})
	c.started(1)
	feed(hub, 1, "/b", "/a/x", "/ab", "/a")
	assert.Equal(t, []string{"/a/x", "/a"}, c.events(1, 2))
	c.start(&lockstepv1.StartWatch{Watch: 2, Prefix: "/a", Exact: true})
	c.started(2)
	c.send(&lockstepv1.WatchRequest{Body: &lockstepv1.WatchRequest_Stop{Stop: &lockstepv1.StopWatch{Watch: 1}}})
	assert.Equal(t, lockstepv1.WatchEnded_REASON_STOPPED, c.ended(1).GetReason())
	feed(hub, 2, "/a/x", "/a")
	assert.Equal(t, []string{"/a"}, c.events(2, 1))
}

func TestLaterWatchIsBroughtUpToTheOthersWithoutDoubles(t *testing.T) {
	hub := newHub(t, config())
	feed(hub, 1, "/a/1")
	c := connect(t, hub, newState(hub), clockwork.NewFakeClock())
	c.start(&lockstepv1.StartWatch{Watch: 1, Prefix: "/a"})
	c.started(1)
	feed(hub, 2, "/a/2", "/a/3")
	assert.Equal(t, []string{"/a/2", "/a/3"}, c.events(1, 2))
	c.start(&lockstepv1.StartWatch{Watch: 2, Prefix: "/", After: &lockstepv1.Position{Index: 1}})
	c.started(2)
	assert.Equal(t, []string{"/a/1", "/a/2", "/a/3"}, c.events(2, 3))
	c.send(&lockstepv1.WatchRequest{Body: &lockstepv1.WatchRequest_Stop{Stop: &lockstepv1.StopWatch{Watch: 1}}})
	c.ended(1)
	feed(hub, 3, "/c")
	assert.Equal(t, []string{"/c"}, c.events(2, 1))
}

func TestWatcherThatKnowsMoreThanThisNodeHearsNothingTwice(t *testing.T) {
	hub := newHub(t, config())
	feed(hub, 1, "/a/1")
	c := connect(t, hub, newState(hub), clockwork.NewFakeClock())
	c.start(&lockstepv1.StartWatch{Watch: 1, Prefix: "/", After: &lockstepv1.Position{Index: 3, N: 1}})
	assert.Equal(t, at(3, 1), c.started(1))
	feed(hub, 2, "/a/2")
	feed(hub, 3, "/a/3", "/a/4")
	assert.Equal(t, []string{"/a/4"}, c.events(1, 1))
}

func TestListingAndEventsMeetWithoutGap(t *testing.T) {
	hub := newHub(t, config())
	s := newState(hub)
	out := s.apply(&engine.OpenSession{SecretHash: [32]byte{1}, TTL: 10 * time.Second, Grace: 4 * time.Second, Principal: "p"})
	id := out.Results[0].(*engine.Opened).Session
	acquire := func(seq uint64, path string) {
		out := s.apply(&engine.Acquire{
			Request: engine.Request{Session: id, Incarnation: 1, Sequence: seq}, Owner: 1, Path: path, Mode: engine.Exclusive,
		})
		require.IsType(t, &engine.Granted{}, out.Results[0])
	}
	acquire(1, "/a/1")
	acquire(2, "/ab")
	c := connect(t, hub, s, clockwork.NewFakeClock())
	c.start(&lockstepv1.StartWatch{Watch: 1, Prefix: "/a", WithListing: true})
	assert.Equal(t, at(3, math.MaxUint32), c.started(1))
	listing := c.next().GetListing()
	require.Len(t, listing.GetLocks(), 1)
	assert.Equal(t, "/a/1", listing.GetLocks()[0].GetPath())
	assert.False(t, listing.GetMore())
	acquire(3, "/a/2")
	assert.Equal(t, []string{"/a/2"}, c.events(1, 1))
}

func TestRefusals(t *testing.T) {
	cfg := config()
	cfg.Events, cfg.Watches = 2, 1
	hub := newHub(t, cfg)
	for index := uint64(1); index <= 5; index++ {
		feed(hub, index, "/a")
	}
	c := connect(t, hub, newState(hub), clockwork.NewFakeClock())
	c.start(&lockstepv1.StartWatch{Watch: 1, Prefix: "/", After: &lockstepv1.Position{Index: 1}})
	gone := c.ended(1)
	assert.Equal(t, lockstepv1.WatchEnded_REASON_HISTORY_GONE, gone.GetReason())
	assert.Equal(t, uint64(3), gone.GetOldest().GetIndex())
	for name, s := range map[string]*lockstepv1.StartWatch{
		"watch 0":                      {Prefix: "/"},
		"no prefix":                    {Watch: 2},
		"a prefix that is no path":     {Watch: 2, Prefix: "/a/../b"},
		"exactly the root":             {Watch: 2, Prefix: "/", Exact: true},
		"a listing and a resume point": {Watch: 2, Prefix: "/", WithListing: true, After: &lockstepv1.Position{}},
	} {
		t.Run(name, func(t *testing.T) {
			c.start(s)
			assert.Equal(t, lockstepv1.WatchEnded_REASON_INVALID, c.ended(s.GetWatch()).GetReason())
		})
	}
	c.start(&lockstepv1.StartWatch{Watch: 3, Prefix: "/"})
	c.started(3)
	c.start(&lockstepv1.StartWatch{Watch: 4, Prefix: "/"})
	assert.Equal(t, lockstepv1.WatchEnded_REASON_INVALID, c.ended(4).GetReason(), "as many as a stream may carry")
	c.start(&lockstepv1.StartWatch{Watch: 3, Prefix: "/"})
	assert.Equal(t, lockstepv1.WatchEnded_REASON_INVALID, c.ended(3).GetReason(), "the number is taken")
}

func TestSlowWatcherIsCutOffAndHoldsNothingUp(t *testing.T) {
	cfg := config()
	cfg.Events = 8
	hub := newHub(t, cfg)
	c := connect(t, hub, newState(hub), clockwork.NewFakeClock())
	c.start(&lockstepv1.StartWatch{Watch: 1, Prefix: "/"})
	c.started(1)
	c.stall.Lock()
	for index := uint64(1); index <= 100; index++ {
		feed(hub, index, "/a") // never waits for the watcher
	}
	c.stall.Unlock()
	for last := uint64(0); ; {
		f := c.next()
		if ended := f.GetEnded(); ended != nil {
			assert.Equal(t, lockstepv1.WatchEnded_REASON_TOO_SLOW, ended.GetReason())
			break
		}
		for _, e := range f.GetEvents().GetEvents() {
			require.Equal(t, last+1, e.GetPosition().GetIndex(), "no gap before the cut")
			last++
		}
	}
	assert.Equal(t, uint64(1), hub.Stats().TooSlow)
	assert.Zero(t, hub.Stats().Watches)
}

func TestIdleWatchIsToldHowFarItIs(t *testing.T) {
	hub := newHub(t, config())
	clock := clockwork.NewFakeClock()
	c := connect(t, hub, newState(hub), clock)
	c.start(&lockstepv1.StartWatch{Watch: 1, Prefix: "/a"})
	c.started(1)
	feed(hub, 7, "/b")
	require.Eventually(t, func() bool {
		clock.Advance(time.Second)
		select {
		case f := <-c.frames:
			return assert.Empty(t, f.GetEvents().GetEvents()) && assert.Equal(t, uint64(7), f.GetEvents().GetThrough().GetIndex())
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond)
}

func TestGarbageEndsTheStream(t *testing.T) {
	hub := newHub(t, config())
	c := connect(t, hub, newState(hub), clockwork.NewFakeClock())
	_, err := c.toNode.Write(transport.AppendFrame(nil, []byte{0xff, 0xff, 0xff}))
	require.NoError(t, err)
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.True(t, c.reset)
}

func TestConfigIsChecked(t *testing.T) {
	require.NoError(t, watch.DefaultConfig().Validate())
	require.Error(t, watch.Config{}.Validate())
}

func BenchmarkHubApplied(b *testing.B) {
	hub := newHub(b, watch.DefaultConfig())
	b.ReportAllocs()
	for i := uint64(1); b.Loop(); i++ {
		feed(hub, i, "/orders/eu/42", "/orders/eu/43")
	}
}

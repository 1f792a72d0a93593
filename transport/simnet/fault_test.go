package simnet_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"lockstep/transport"
	"lockstep/transport/clocks"
	"lockstep/transport/simnet"
)

const patience = 10 * time.Second

// world is a network with hosts a and b and a connection from a to b.
type world struct {
	*simnet.Net
	cfg      simnet.Config
	clock    *clockwork.FakeClock
	a, b     *simnet.Host
	listener transport.Listener
	ctx      context.Context
	atA, atB transport.Conn
}

func newFakeWorld(t *testing.T, change func(*simnet.Config)) *world {
	t.Helper()
	cfg := simnet.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	w := &world{cfg: cfg, clock: clockwork.NewFakeClock()}
	w.Net = simnet.New(clocks.Clocks{Mono: w.clock}, cfg)
	w.a, w.b = w.Host("a", simnet.AsNode("a")), w.Host("b", simnet.AsNode("b"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w.ctx = ctx
	var err error
	w.listener, err = w.b.Listen(":1")
	require.NoError(t, err)
	if cfg.Latency == 0 {
		w.connect(t)
	}
	return w
}

func (w *world) connect(t *testing.T) {
	t.Helper()
	var err error
	w.atA, err = w.a.Dial(w.ctx, "b:1")
	require.NoError(t, err)
	w.atB, err = w.listener.Accept(w.ctx)
	require.NoError(t, err)
}

func (w *world) stream(t *testing.T) (atA, atB transport.Stream) {
	t.Helper()
	atA, err := w.atA.OpenStream(w.ctx, transport.PurposeOps)
	require.NoError(t, err)
	send(t, atA, "!")
	atB, err = w.atB.AcceptStream(w.ctx)
	require.NoError(t, err)
	receive(t, atB, "!")
	return atA, atB
}

func send(t *testing.T, s transport.Stream, text string) {
	t.Helper()
	_, err := s.Write([]byte(text))
	require.NoError(t, err)
}

func receive(t *testing.T, s transport.Stream, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(s, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// nothing checks that no bytes are there.
func nothing(t *testing.T, w *world, s transport.Stream) {
	t.Helper()
	require.NoError(t, s.SetReadDeadline(w.clock.Now()))
	_, err := s.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, s.SetReadDeadline(time.Time{}))
}

func lost(t *testing.T, c transport.Conn) {
	t.Helper()
	select {
	case <-c.Context().Done():
		require.ErrorIs(t, context.Cause(c.Context()), transport.ErrLost)
	case <-t.Context().Done():
	}
}

func alive(t *testing.T, conns ...transport.Conn) {
	t.Helper()
	for _, c := range conns {
		require.NoError(t, context.Cause(c.Context()))
	}
}

func TestPartition_OneWayEndsBothSidesInTurn(t *testing.T) {
	w := newFakeWorld(t, nil)
	w.PartitionOneWay("a", "b")
	w.clock.Advance(w.cfg.IdleTimeout - 1)
	alive(t, w.atA, w.atB)
	w.clock.Advance(1)
	lost(t, w.atB) // it hears nothing of a
	alive(t, w.atA)
	require.NoError(t, w.clock.BlockUntilContext(w.ctx, 1))
	w.clock.Advance(w.cfg.IdleTimeout)
	lost(t, w.atA) // and says nothing any more
	require.Zero(t, w.Connections("a", "b"))
}

func TestPartition_HoldsBytesBackUntilHealed(t *testing.T) {
	w := newFakeWorld(t, nil)
	atA, atB := w.stream(t)
	w.PartitionOneWay("a", "b")
	send(t, atA, "one ")
	send(t, atA, "two")
	nothing(t, w, atB)
	send(t, atB, "the other way")
	receive(t, atA, "the other way")
	w.clock.Advance(w.cfg.IdleTimeout / 2)
	w.Heal("a", "b")
	receive(t, atB, "one two")
	w.clock.Advance(w.cfg.IdleTimeout)
	alive(t, w.atA, w.atB)
}

func TestPartition_CloseDoesNotArrive(t *testing.T) {
	w := newFakeWorld(t, nil)
	w.Partition("a", "b")
	require.NoError(t, w.atA.Close("unheard"))
	alive(t, w.atB)
	w.HealAll()
	<-w.atB.Context().Done()
	require.ErrorContains(t, context.Cause(w.atB.Context()), "unheard")
}

func TestPartition_EndsDials(t *testing.T) {
	w := newFakeWorld(t, nil)
	for _, c := range []struct {
		name string
		cut  func()
	}{
		{"there", func() { w.PartitionOneWay("a", "b") }},
		{"and back", func() { w.PartitionOneWay("b", "a") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cut()
			defer w.HealAll()
			ctx, cancel := context.WithCancel(w.ctx)
			result := make(chan error, 1)
			go func() {
				_, err := w.a.Dial(ctx, "b:1")
				result <- err
			}()
			cancel()
			require.ErrorIs(t, <-result, context.Canceled)
		})
	}
	w.connect(t)
	w.stream(t)
}

func TestCutConnections(t *testing.T) {
	w := newFakeWorld(t, nil)
	atA, _ := w.stream(t)
	require.Equal(t, 1, w.Connections("b", "a"))
	require.Equal(t, 1, w.CutConnections("b", "a"))
	lost(t, w.atA)
	lost(t, w.atB)
	_, err := atA.Write([]byte("x"))
	require.ErrorIs(t, err, transport.ErrLost)
	require.Zero(t, w.CutConnections("a", "b"))
	w.connect(t)
	w.stream(t)
}

func TestCrash(t *testing.T) {
	w := newFakeWorld(t, nil)
	w.stream(t)
	w.Crash("b")
	lost(t, w.atB)
	alive(t, w.atA)
	_, err := w.listener.Accept(w.ctx)
	require.ErrorIs(t, err, transport.ErrClosed)
	_, err = w.a.Dial(w.ctx, "b:1")
	require.ErrorIs(t, err, transport.ErrUnreachable)
	w.clock.Advance(w.cfg.IdleTimeout)
	lost(t, w.atA)

	w.listener, err = w.b.Listen("b:1")
	require.NoError(t, err, "restarted")
	w.connect(t)
}

func TestLatency(t *testing.T) {
	w := newFakeWorld(t, func(c *simnet.Config) { c.Latency = 10 * time.Millisecond })
	step := func(d time.Duration) {
		require.NoError(t, w.clock.BlockUntilContext(w.ctx, 1))
		w.clock.Advance(d)
	}
	w.SetLatency("b", "a", 0)
	dialed := make(chan error, 1)
	go func() {
		var err error
		w.atA, err = w.a.Dial(w.ctx, "b:1")
		dialed <- err
	}()
	require.NoError(t, w.clock.BlockUntilContext(w.ctx, 2)) // the packet, and the handshake timeout
	w.clock.Advance(10 * time.Millisecond)
	require.NoError(t, <-dialed)
	var err error
	w.atB, err = w.listener.Accept(w.ctx)
	require.NoError(t, err)

	atA, err := w.atA.OpenStream(w.ctx, transport.PurposeBulk)
	require.NoError(t, err)
	send(t, atA, "slow")
	w.SetLatency("a", "b", 0)
	send(t, atA, " and never overtaken")
	step(9 * time.Millisecond)
	early, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err = w.atB.AcceptStream(early)
	require.ErrorIs(t, err, context.Canceled)
	step(time.Millisecond)
	atB, err := w.atB.AcceptStream(w.ctx)
	require.NoError(t, err)
	receive(t, atB, "slow and never overtaken")
	send(t, atA, "fast")
	receive(t, atB, "fast")
}

// A test on a fake clock counts its own timers: a healthy network has none.
func TestHealthyNetworkHasNoTimers(t *testing.T) {
	w := newFakeWorld(t, nil)
	w.stream(t)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	require.Error(t, w.clock.BlockUntilContext(ctx, 1))
}

func TestAddresses(t *testing.T) {
	w := newFakeWorld(t, nil)
	for _, c := range []struct {
		name, address string
		want          error
	}{
		{"no port", "b", transport.ErrAddress},
		{"no host", ":1", transport.ErrAddress},
		{"nobody of that name", "c:1", transport.ErrUnreachable},
		{"nobody listens", "b:2", transport.ErrUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.a.Dial(w.ctx, c.address)
			require.ErrorIs(t, err, c.want)
		})
	}
	free, err := w.b.Listen("")
	require.NoError(t, err)
	require.Equal(t, "b:2", free.Addr(), "1 is taken")
	require.Equal(t, "b", w.b.Name())
	require.Panics(t, func() { w.Host("b", simnet.AsNode("b")) })
}

func TestBacklog(t *testing.T) {
	w := newFakeWorld(t, func(c *simnet.Config) { c.Backlog = 1 })
	gone, err := w.a.Dial(w.ctx, "b:1")
	require.NoError(t, err)
	_, err = w.a.Dial(w.ctx, "b:1")
	require.ErrorIs(t, err, transport.ErrRefused)
	require.NoError(t, gone.Close("changed my mind"))

	accepted := make(chan transport.Conn, 1)
	go func() {
		c, _ := w.listener.Accept(w.ctx)
		accepted <- c
	}()
	require.Eventually(t, func() bool {
		w.atA, err = w.a.Dial(w.ctx, "b:1")
		return err == nil
	}, patience, time.Millisecond)
	w.atB = <-accepted
	w.stream(t) // the one that had gone was passed over
}

func TestConfig_Validate(t *testing.T) {
	require.NoError(t, simnet.DefaultConfig().Validate())
	for name, change := range map[string]func(*simnet.Config){
		"Latency":          func(c *simnet.Config) { c.Latency = -1 },
		"IdleTimeout":      func(c *simnet.Config) { c.IdleTimeout = 0 },
		"HandshakeTimeout": func(c *simnet.Config) { c.HandshakeTimeout = 0 },
		"StreamWindow":     func(c *simnet.Config) { c.StreamWindow = 0 },
		"MaxStreams":       func(c *simnet.Config) { c.MaxStreams = 0 },
		"Backlog":          func(c *simnet.Config) { c.Backlog = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := simnet.DefaultConfig()
			change(&cfg)
			require.ErrorContains(t, cfg.Validate(), name)
			require.Panics(t, func() { simnet.New(clocks.Clocks{}, cfg) })
		})
	}
}

package peers

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
	"lockstep/transport/clocks/system"
	"lockstep/transport/simnet"
)

// mono tells virtual time within a test.
var mono = clockwork.NewRealClock()

// world is a network with managers on it, in virtual time.
type world struct {
	t    *testing.T
	net  *simnet.Net
	all  map[string]*Manager
	ends []func()
}

// inWorld runs f where waiting costs nothing: the clock jumps when all wait.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: simnet.New(system.Clocks(), simnet.DefaultConfig()), all: make(map[string]*Manager)}
		defer func() {
			for _, end := range w.ends {
				end()
			}
		}()
		f(t, w)
	})
}

// node starts a manager that echoes what it is sent on peer and client streams.
func (w *world) node(name string, change ...func(*Config)) *Manager {
	w.t.Helper()
	cfg := DefaultConfig()
	cfg.Node, cfg.Cluster, cfg.Lineage, cfg.Agent = name, "c1", 1, "test"
	for _, f := range change {
		f(&cfg)
	}
	host := w.net.Host(name, simnet.AsNode(name))
	m, err := New(cfg, Deps{
		Network: host, Clocks: system.Clocks(), Rand: rand.New(rand.NewPCG(1, 2)),
		Logger: slog.New(slog.DiscardHandler),
		Welcome: func() *lockstepv1.Welcome {
			return &lockstepv1.Welcome{Leader: &lockstepv1.Member{Node: "n1"}}
		},
	})
	require.NoError(w.t, err)
	m.Handle(lockstepv1.Hello_KIND_PEER, transport.PurposeRaft, echo)
	m.Handle(lockstepv1.Hello_KIND_CLIENT, transport.PurposeOps, echo)
	m.Handle(lockstepv1.Hello_KIND_RELAY, transport.PurposeOps, echo)
	l, err := host.Listen(name + ":1")
	require.NoError(w.t, err)
	served := make(chan error, 1)
	go func() { served <- m.Serve(w.t.Context(), l) }()
	w.ends = append(w.ends, func() {
		m.Close()
		if err := <-served; err != nil {
			w.t.Errorf("Serve of %s: %v", name, err)
		}
	})
	w.all[name] = m
	return m
}

// acquaint tells all managers of each other.
func (w *world) acquaint() {
	members := make(map[string]string)
	for name := range w.all {
		members[name] = name + ":1"
	}
	for _, m := range w.all {
		m.SetMembers(members)
	}
}

// settle lets d pass.
func (w *world) settle(d time.Duration) {
	<-mono.After(d)
	synctest.Wait()
}

func echo(_ context.Context, in *Inbound) {
	for {
		frame, err := in.Frames.Read()
		if err != nil {
			in.Stream.CloseWrite()
			return
		}
		if _, err := in.Stream.Write(transport.AppendFrame(nil, frame)); err != nil {
			return
		}
	}
}

// ask sends text and returns what came back.
func ask(out *Outbound, text string) (string, error) {
	if _, err := out.Stream.Write(transport.AppendFrame(nil, []byte(text))); err != nil {
		return "", err
	}
	frame, err := out.Read()
	return string(frame), err
}

func open(ctx context.Context, m *Manager, to string) (*Outbound, error) {
	return m.Open(ctx, to, lockstepv1.Hello_KIND_PEER, transport.PurposeRaft, nil)
}

func TestOneConnectionServesBothDirections(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.node("a"), w.node("b")
		w.acquaint()
		w.settle(time.Second)
		for range 3 {
			for _, m := range []struct {
				from *Manager
				to   string
			}{{a, "b"}, {b, "a"}} {
				out, err := open(t.Context(), m.from, m.to)
				require.NoError(t, err)
				got, err := ask(out, "hello")
				require.NoError(t, err)
				require.Equal(t, "hello", got)
				welcome, err := out.Welcome()
				require.NoError(t, err)
				require.Equal(t, m.to, welcome.GetNode())
				require.Equal(t, "n1", welcome.GetLeader().GetNode())
				out.Stream.Reset()
			}
		}
		require.Equal(t, 1, w.net.Connections("a", "b"))
		require.EqualValues(t, 1, a.Stats().Dials)
		require.EqualValues(t, 0, b.Stats().Dials, "the lower id dials")
		require.Equal(t, map[string]bool{"b": true}, a.Stats().Connected)
		require.EqualValues(t, 3, a.Stats().Opened)
	})
}

func TestBothDialAtOnceAndOneConnectionStays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", func(c *Config) { c.DialGrace = 0 })
		b := w.node("b", func(c *Config) { c.DialGrace = 0 })
		w.net.SetLatency("a", "b", 20*time.Millisecond)
		w.net.SetLatency("b", "a", 20*time.Millisecond)
		w.acquaint()
		w.settle(10 * time.Second)
		require.Equal(t, 1, w.net.Connections("a", "b"))
		for from, to := range map[*Manager]string{a: "b", b: "a"} {
			out, err := open(t.Context(), from, to)
			require.NoError(t, err)
			_, err = ask(out, "x")
			require.NoError(t, err)
		}
		require.LessOrEqual(t, a.Stats().Dials+b.Stats().Dials, uint64(3), "nobody keeps on dialing")
	})
}

func TestLostConnectionCancelsItsStreamsAndIsReplaced(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		b := w.node("b")
		w.acquaint()
		cancelled := make(chan error, 1)
		b.mu.Lock()
		b.handlers[route{lockstepv1.Hello_KIND_PEER, transport.PurposeBulk}] = func(ctx context.Context, _ *Inbound) {
			<-ctx.Done()
			cancelled <- context.Cause(ctx)
		}
		b.mu.Unlock()
		out, err := a.Open(t.Context(), "b", lockstepv1.Hello_KIND_PEER, transport.PurposeBulk, nil)
		require.NoError(t, err)
		_, err = out.Welcome()
		require.NoError(t, err)
		require.True(t, out.Alive())
		w.net.CutConnections("a", "b")
		require.ErrorIs(t, <-cancelled, transport.ErrLost)
		require.False(t, out.Alive())
		_, err = out.Read()
		require.Error(t, err)
		require.NoError(t, a.Await(t.Context(), "b"))
		again, err := open(t.Context(), a, "b")
		require.NoError(t, err)
		_, err = ask(again, "x")
		require.NoError(t, err)
	})
}

func TestUnreachableNodeIsDialedWithBackoff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.node("b")
		w.net.Partition("a", "b")
		w.acquaint()
		_, err := open(t.Context(), a, "b")
		require.ErrorIs(t, err, ErrNotConnected, "after the first failure it does not wait for the next attempt")
		w.settle(time.Minute)
		failures := a.Stats().DialFailures
		require.Greater(t, failures, uint64(15), "it goes on trying")
		require.Less(t, failures, uint64(60), "but not without pauses")
		w.net.HealAll()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.NoError(t, a.Await(ctx, "b"), "soon after the way is open")
	})
}

func TestHigherIdDialsWhenTheLowerOneCannot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.node("a")
		b := w.node("b")
		// a knows nothing of b.
		b.SetMembers(map[string]string{"a": "a:1", "b": "b:1"})
		out, err := open(t.Context(), b, "a")
		require.NoError(t, err)
		_, err = ask(out, "x")
		require.NoError(t, err)
		back, err := open(t.Context(), w.all["a"], "b")
		require.NoError(t, err, "the connection serves the other direction, even to a stranger among nodes")
		_, err = ask(back, "x")
		require.NoError(t, err)
	})
}

func TestMembersComeAndGo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.node("b")
		_, err := open(t.Context(), a, "b")
		require.ErrorIs(t, err, ErrUnknownNode)
		w.acquaint()
		out, err := open(t.Context(), a, "b")
		require.NoError(t, err)
		_, err = ask(out, "x")
		require.NoError(t, err)
		a.SetMembers(map[string]string{"a": "a:1"})
		w.settle(time.Millisecond)
		_, err = out.Read()
		require.ErrorIs(t, err, transport.ErrClosed)
		_, err = open(t.Context(), a, "b")
		require.Error(t, err)
	})
}

func TestAnotherNodeAtTheAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.node("c")
		a.SetMembers(map[string]string{"b": "c:1"})
		_, err := open(t.Context(), a, "b")
		require.ErrorIs(t, err, ErrWrongNode)
	})
}

func TestCloseEndsEverything(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.node("b")
		w.acquaint()
		out, err := open(t.Context(), a, "b")
		require.NoError(t, err)
		_, err = ask(out, "x")
		require.NoError(t, err)
		a.Close()
		_, err = out.Read()
		require.Error(t, err)
		_, err = open(t.Context(), a, "b")
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, a.Await(t.Context(), "b"), ErrClosed)
		a.SetMembers(map[string]string{"b": "b:1"})
		require.Zero(t, a.Stats().Connections)
	})
}

// dialRaw connects to a node as who, without a Manager.
func (w *world) dialRaw(name string, who simnet.Identity, to string) transport.Conn {
	w.t.Helper()
	conn, err := w.net.Host(name, who).Dial(w.t.Context(), to+":1")
	require.NoError(w.t, err)
	return conn
}

// greetRaw opens a stream and sends whatever first frame is given.
func greetRaw(t *testing.T, conn transport.Conn, purpose transport.Purpose, first []byte) (*lockstepv1.Welcome, transport.Stream, error) {
	t.Helper()
	stream, err := conn.OpenStream(t.Context(), purpose)
	require.NoError(t, err)
	_, err = stream.Write(first)
	require.NoError(t, err)
	welcome := new(lockstepv1.Welcome)
	err = transport.ReadMessage(transport.NewFrameReader(stream, MaxClientFrame), welcome)
	return welcome, stream, err
}

func TestStreamsThatAreRefused(t *testing.T) {
	good := func() *lockstepv1.Hello {
		return &lockstepv1.Hello{
			Kind: lockstepv1.Hello_KIND_PEER, Version: Version, Cluster: "c1", Lineage: 1, FromNode: "x", ToNode: "a",
		}
	}
	client := func() *lockstepv1.Hello {
		return &lockstepv1.Hello{Kind: lockstepv1.Hello_KIND_CLIENT, Version: Version}
	}
	node, user := simnet.AsNode("x"), simnet.AsClient("operator")
	for name, c := range map[string]struct {
		who     simnet.Identity
		purpose transport.Purpose
		hello   *lockstepv1.Hello
		change  func(h *lockstepv1.Hello)
		code    lockstepv1.Code
		words   string
	}{
		"peer":                   {node, transport.PurposeRaft, good(), nil, 0, ""},
		"relay":                  {node, transport.PurposeOps, good(), func(h *lockstepv1.Hello) { h.Kind = lockstepv1.Hello_KIND_RELAY }, 0, ""},
		"client":                 {user, transport.PurposeOps, client(), nil, 0, ""},
		"client of this cluster": {user, transport.PurposeOps, client(), func(h *lockstepv1.Hello) { h.Cluster, h.Lineage = "c1", 1 }, 0, ""},
		"node as a client":       {node, transport.PurposeOps, client(), nil, 0, ""},
		"client certificate claiming to be a node": {
			user, transport.PurposeRaft, good(), nil,
			lockstepv1.Code_CODE_NOT_PERMITTED, `"operator" names no node`,
		},
		"client certificate claiming to relay": {
			user, transport.PurposeOps, good(), func(h *lockstepv1.Hello) { h.Kind = lockstepv1.Hello_KIND_RELAY },
			lockstepv1.Code_CODE_NOT_PERMITTED, "only nodes may send",
		},
		"node claiming to be another": {
			node, transport.PurposeRaft, good(), func(h *lockstepv1.Hello) { h.FromNode = "y" },
			lockstepv1.Code_CODE_NOT_PERMITTED, `names node x, the Hello node "y"`,
		},
		"meant for another node": {
			node, transport.PurposeRaft, good(), func(h *lockstepv1.Hello) { h.ToNode = "b" },
			lockstepv1.Code_CODE_INVALID, "this is node a",
		},
		"older version": {
			node, transport.PurposeRaft, good(), func(h *lockstepv1.Hello) { h.Version = 0 },
			lockstepv1.Code_CODE_VERSION, "upgrade",
		},
		"newer version": {
			user, transport.PurposeOps, client(), func(h *lockstepv1.Hello) { h.Version = 2 },
			lockstepv1.Code_CODE_VERSION, "not 2",
		},
		"node of another cluster": {
			node, transport.PurposeRaft, good(), func(h *lockstepv1.Hello) { h.Cluster = "c2" },
			lockstepv1.Code_CODE_WRONG_CLUSTER, `"c1", not "c2"`,
		},
		"node without a cluster": {
			node, transport.PurposeRaft, good(), func(h *lockstepv1.Hello) { h.Cluster = "" },
			lockstepv1.Code_CODE_WRONG_CLUSTER, "",
		},
		"client of another cluster": {
			user, transport.PurposeOps, client(), func(h *lockstepv1.Hello) { h.Cluster = "c2" },
			lockstepv1.Code_CODE_WRONG_CLUSTER, "check the endpoints",
		},
		"node of another lineage": {
			node, transport.PurposeRaft, good(), func(h *lockstepv1.Hello) { h.Lineage = 9 },
			lockstepv1.Code_CODE_WRONG_LINEAGE, "lineage 1, not 9",
		},
		"node without a lineage": {
			node, transport.PurposeRaft, good(), func(h *lockstepv1.Hello) { h.Lineage = 0 },
			lockstepv1.Code_CODE_WRONG_LINEAGE, "",
		},
		"client of another lineage": {
			user, transport.PurposeOps, client(), func(h *lockstepv1.Hello) { h.Lineage = 9 },
			lockstepv1.Code_CODE_WRONG_LINEAGE, "open a new session",
		},
		"no kind": {
			user, transport.PurposeOps, client(), func(h *lockstepv1.Hello) { h.Kind = 0 },
			lockstepv1.Code_CODE_INVALID, "no kind",
		},
		"unknown kind": {
			user, transport.PurposeOps, client(), func(h *lockstepv1.Hello) { h.Kind = 77 },
			lockstepv1.Code_CODE_INVALID, "77",
		},
		"purpose that is not served": {
			user, transport.PurposeWatch, client(), nil,
			lockstepv1.Code_CODE_INVALID, "not served",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.node("a")
				if c.change != nil {
					c.change(c.hello)
				}
				first, err := transport.AppendMessage(nil, c.hello)
				require.NoError(t, err)
				conn := w.dialRaw("x", c.who, "a")
				welcome, stream, err := greetRaw(t, conn, c.purpose, first)
				require.NoError(t, err)
				require.Equal(t, c.code, welcome.GetProblem().GetCode(), "%s", welcome.GetProblem())
				require.Equal(t, "a", welcome.GetNode())
				require.Equal(t, "c1", welcome.GetCluster())
				if c.code == 0 {
					return
				}
				require.Contains(t, welcome.GetProblem().GetDetail(), c.words)
				_, err = stream.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF, "the stream is closed behind the problem")
				require.EqualValues(t, 1, a.Stats().Refused[c.code])
			})
		})
	}
}

func TestBadHellos(t *testing.T) {
	big := transport.AppendFrame(nil, make([]byte, MaxHello+1))
	for name, c := range map[string]struct {
		first []byte
		words string
	}{
		"no Hello":  {transport.AppendFrame(nil, []byte("\xff\xff\xff nonsense")), "no Hello"},
		"too large": {big, "larger than 8192"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.node("a")
				conn := w.dialRaw("x", simnet.AsClient("u"), "a")
				welcome, _, err := greetRaw(t, conn, transport.PurposeOps, c.first)
				require.NoError(t, err)
				require.Equal(t, lockstepv1.Code_CODE_INVALID, welcome.GetProblem().GetCode())
				require.Contains(t, welcome.GetProblem().GetDetail(), c.words)
			})
		})
	}
	t.Run("too slow", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.node("a")
			conn := w.dialRaw("x", simnet.AsClient("u"), "a")
			begun := mono.Now()
			_, _, err := greetRaw(t, conn, transport.PurposeOps, []byte{0, 0})
			require.ErrorIs(t, err, transport.ErrReset)
			require.Equal(t, DefaultConfig().HelloTimeout, mono.Since(begun))
		})
	})
}

func TestRefusalReachesTheOpener(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.node("b", func(c *Config) { c.Lineage = 2 })
		w.acquaint()
		out, err := open(t.Context(), a, "b")
		require.NoError(t, err)
		_, err = out.Read()
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, lockstepv1.Code_CODE_WRONG_LINEAGE, refused.Problem.GetCode())
		require.Equal(t, "b", refused.Node)
		require.True(t, strings.Contains(err.Error(), "node b refused"))
	})
}

func TestStreamsOfOneConnectionAreLimited(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", func(c *Config) { c.MaxStreams = 2 })
		conn := w.dialRaw("x", simnet.AsClient("u"), "a")
		hello, err := transport.AppendMessage(nil, &lockstepv1.Hello{Kind: lockstepv1.Hello_KIND_CLIENT, Version: Version})
		require.NoError(t, err)
		var streams []transport.Stream
		for range 3 {
			s, err := conn.OpenStream(t.Context(), transport.PurposeOps)
			require.NoError(t, err)
			_, err = s.Write(hello)
			require.NoError(t, err)
			streams = append(streams, s)
		}
		w.settle(time.Second)
		require.EqualValues(t, 2, a.Stats().Streams, "the third waits")
		require.NoError(t, streams[0].CloseWrite())
		w.settle(time.Second)
		welcome := new(lockstepv1.Welcome)
		require.NoError(t, transport.ReadMessage(transport.NewFrameReader(streams[2], 1<<10), welcome), "and then gets its turn")
		require.Equal(t, "a", welcome.GetNode())
	})
}

func TestConnectionsAreLimited(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.node("a", func(c *Config) { c.MaxConnections = 1 })
		w.dialRaw("x", simnet.AsClient("u"), "a")
		w.settle(time.Second)
		second := w.dialRaw("y", simnet.AsClient("u"), "a")
		<-second.Context().Done()
		require.ErrorContains(t, context.Cause(second.Context()), "as many connections as it may")
	})
}

func TestFramesOfClientsAreBounded(t *testing.T) {
	require.Equal(t, MaxClientFrame, maxFrame(lockstepv1.Hello_KIND_CLIENT, transport.PurposeBulk))
	require.Equal(t, MaxClientFrame, maxFrame(lockstepv1.Hello_KIND_RELAY, transport.PurposeRaft))
	require.Equal(t, transport.MaxFrame, maxFrame(lockstepv1.Hello_KIND_PEER, transport.PurposeRaft))
}

func TestTwoHandlersForOneRouteAreABug(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		require.Panics(t, func() { a.Handle(lockstepv1.Hello_KIND_PEER, transport.PurposeRaft, echo) })
	})
}

func TestConfigIsChecked(t *testing.T) {
	require.ErrorContains(t, DefaultConfig().Validate(), "Node is empty")
	for name, change := range map[string]func(*Config){
		"no cluster":     func(c *Config) { c.Cluster = "" },
		"no lineage":     func(c *Config) { c.Lineage = 0 },
		"hello timeout":  func(c *Config) { c.HelloTimeout = 0 },
		"dial timeout":   func(c *Config) { c.DialTimeout = -1 },
		"dial grace":     func(c *Config) { c.DialGrace = -1 },
		"backoff":        func(c *Config) { c.BackoffMin = 0 },
		"backoff bounds": func(c *Config) { c.BackoffMax = 1 },
		"streams":        func(c *Config) { c.MaxStreams = 0 },
		"connections":    func(c *Config) { c.MaxConnections = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Node, cfg.Cluster, cfg.Lineage = "a", "c", 1
			require.NoError(t, cfg.Validate())
			change(&cfg)
			require.Error(t, cfg.Validate())
			_, err := New(cfg, Deps{})
			require.Error(t, err)
		})
	}
	cfg := DefaultConfig()
	cfg.Node, cfg.Cluster, cfg.Lineage = "a", "c", 1
	_, err := New(cfg, Deps{})
	require.ErrorContains(t, err, "dependency is missing")
	require.False(t, errors.Is(err, ErrClosed))
}

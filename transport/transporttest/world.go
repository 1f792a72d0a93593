package transporttest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"lockstep/transport"
)

// Names that a World gives its inhabitants.
const (
	ServerNode      = "n1"
	ClientPrincipal = "alice"
)

// World is a network with three inhabitants, made anew for every test.
type World struct {
	// Server belongs to node ServerNode, Client to ClientPrincipal; they trust each
	// other. Stranger's certificate is from elsewhere.
	Server, Client, Stranger transport.Network
	// ServerAddress and StrangerAddress are free addresses to listen at.
	ServerAddress, StrangerAddress string
	// Nowhere is an address at which nobody listens, BadAddress makes no sense.
	Nowhere, BadAddress string
	// Clock is what deadlines are measured on.
	Clock clockwork.Clock
	// Elapse lets a little time pass on Clock; it does nothing where time passes
	// by itself.
	Elapse func()
	// Silence loses every packet between Server and Client, Resume ends that.
	Silence, Resume func()
}

// Settings is what a test wants of its world.
type Settings struct {
	// MaxStreams is how many streams one side may have open; 0: thousands.
	MaxStreams int
	// Faults is true when the test silences or dials nobody: then the idle and
	// handshake timeouts should be short, at most a second or two.
	Faults bool
}

// Factory makes a world that is torn down with t. None of its streams takes more
// than a few megabytes that nobody reads.
type Factory func(t *testing.T, settings Settings) World

// patience is how long anything may take before a test gives up, in real time.
const patience = 20 * time.Second

// pair is a world with one connection in it.
type pair struct {
	World
	ctx            context.Context
	listener       transport.Listener
	client, server transport.Conn
}

func connect(t *testing.T, factory Factory, settings Settings) *pair {
	t.Helper()
	w := factory(t, settings)
	ctx := limited(t)
	listener, err := w.Server.Listen(w.ServerAddress)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	p := &pair{World: w, ctx: ctx, listener: listener}
	p.client, p.server = p.dial(t)
	return p
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (p *pair) dial(t *testing.T) (client, server transport.Conn) {
	t.Helper()
	client, err := p.Client.Dial(p.ctx, p.listener.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { client.Close("test over") })
	server, err = p.listener.Accept(p.ctx)
	require.NoError(t, err)
	return client, server
}

// stream opens a stream from client to server; the server has read its first
// byte.
func (p *pair) stream(t *testing.T) (client, server transport.Stream) {
	t.Helper()
	client, err := p.client.OpenStream(p.ctx, transport.PurposeOps)
	require.NoError(t, err)
	write(t, client, "!")
	server, err = p.server.AcceptStream(p.ctx)
	require.NoError(t, err)
	require.Equal(t, "!", read(t, server, 1))
	return client, server
}

// eventually lets time pass until the condition holds.
func (w World) eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.Elapse()
		return condition()
	}, patience, 5*time.Millisecond, what)
}

// ended waits for the end of a connection and returns its cause.
func (w World) ended(t *testing.T, conn transport.Conn) error {
	t.Helper()
	w.eventually(t, func() bool { return conn.Context().Err() != nil }, "the connection ends")
	return context.Cause(conn.Context())
}

// in runs a call in the background; the test fails if it does not return.
func (w World) in(t *testing.T, call func() error) error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- call() }()
	var err error
	w.eventually(t, func() bool {
		select {
		case err = <-result:
			return true
		default:
			return false
		}
	}, "the call returns")
	return err
}

func write(t *testing.T, s transport.Stream, text string) {
	t.Helper()
	n, err := s.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

func read(t *testing.T, s transport.Stream, size int) string {
	t.Helper()
	buf := make([]byte, size)
	_, err := io.ReadFull(s, buf)
	require.NoError(t, err)
	return string(buf)
}

func readErr(s transport.Stream) error {
	_, err := s.Read(make([]byte, 1))
	return err
}

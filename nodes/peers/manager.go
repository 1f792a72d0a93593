package peers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// Manager accepts connections and streams, and keeps one connection to each
// other node. All methods may be called from any goroutine.
type Manager struct {
	cfg      Config
	deps     Deps
	refusals refusals
	counts   counters
	// lifetime ends with Close.
	lifetime context.Context
	end      context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	handlers map[route]Handler
	links    map[string]*link
	conns    map[transport.Conn]struct{}

	randMu sync.Mutex
	rand   *rand.Rand
}

// route is what decides who serves a stream.
type route struct {
	kind    lockstepv1.Hello_Kind
	purpose transport.Purpose
}

// New returns a Manager; it does nothing until Serve or SetMembers is called,
// and must be closed.
func New(cfg Config, deps Deps) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Network == nil || deps.Clocks.Mono == nil || deps.Rand == nil || deps.Logger == nil || deps.Welcome == nil {
		return nil, errors.New("peers: a dependency is missing")
	}
	m := &Manager{
		cfg:      cfg,
		deps:     deps,
		handlers: make(map[route]Handler),
		links:    make(map[string]*link),
		conns:    make(map[transport.Conn]struct{}),
		rand:     deps.Rand,
		refusals: refusals{
			clock: deps.Clocks.Mono, logger: deps.Logger, counts: make(map[lockstepv1.Code]uint64),
		},
	}
	m.lifetime, m.end = context.WithCancel(context.Background())
	return m, nil
}

// Handle makes h serve the streams of this kind and purpose. It must be called
// before Serve and SetMembers; twice for the same pair is a bug and panics.
func (m *Manager) Handle(kind lockstepv1.Hello_Kind, purpose transport.Purpose, h Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := route{kind, purpose}
	if m.handlers[at] != nil {
		panic(fmt.Sprintf("peers: two handlers for %s, purpose %d", kind, purpose))
	}
	m.handlers[at] = h
}

// Serve accepts connections from l until ctx ends or the Manager or l is closed,
// then closes l and returns nil, or what made accepting impossible.
func (m *Manager) Serve(ctx context.Context, l transport.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(m.lifetime, cancel)
	defer stop()
	defer l.Close()
	for {
		conn, err := l.Accept(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, transport.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("peers: accept: %w", err)
		}
		m.accept(conn)
	}
}

// accept begins to serve a connection that somebody else opened.
func (m *Manager) accept(conn transport.Conn) {
	if m.counts.connections.Load() >= int64(m.cfg.MaxConnections) {
		conn.Close("this node serves as many connections as it may; try another one")
		return
	}
	m.counts.accepted.Add(1)
	if node := conn.Peer().Node; node != "" && node != m.cfg.Node {
		if l, ok := m.linkTo(node); !ok || !l.adopt(conn, node < m.cfg.Node /* dialedByLower */) {
			conn.Close("connected already")
			return
		}
	}
	m.serve(conn)
}

// serve accepts the streams of a connection until it ends.
func (m *Manager) serve(conn transport.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		conn.Close("stopping")
		return
	}
	m.conns[conn] = struct{}{}
	m.running.Add(1)
	m.counts.connections.Add(1)
	go func() {
		defer m.running.Done()
		m.acceptStreams(conn)
		m.mu.Lock()
		delete(m.conns, conn)
		m.mu.Unlock()
		m.counts.connections.Add(-1)
	}()
}

// linkTo returns the link to a node, a new one if there is none.
func (m *Manager) linkTo(node string) (*link, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, false
	}
	l := m.links[node]
	if l == nil {
		l = newLink(m, node)
		m.links[node] = l
	}
	return l, true
}

// SetMembers says which nodes there are, as node -> address; this node's own
// entry is ignored. Connections to nodes that are gone are closed.
func (m *Manager) SetMembers(members map[string]string) {
	for node, address := range members {
		if node == m.cfg.Node {
			continue
		}
		if l, ok := m.linkTo(node); ok {
			l.setAddress(address)
		}
	}
	var gone []*link
	m.mu.Lock()
	for node, l := range m.links {
		if _, stays := members[node]; !stays && l.member() {
			gone = append(gone, l)
			delete(m.links, node)
		}
	}
	m.mu.Unlock()
	for _, l := range gone {
		l.close("no member any more")
	}
}

// Open opens a stream to another node. It fills version, cluster, lineage, kind,
// agent, from_node and to_node of hello, which may be nil. It waits while a dial
// is under way, until ctx ends, and fails at once with ErrNotConnected after one
// that failed. A refusal shows at the first Read.
func (m *Manager) Open(ctx context.Context, node string, kind lockstepv1.Hello_Kind, purpose transport.Purpose, hello *lockstepv1.Hello) (*Outbound, error) {
	l, err := m.known(node)
	if err != nil {
		return nil, err
	}
	conn, err := l.await(ctx, false /* throughFailures */)
	if err != nil {
		return nil, err
	}
	stream, err := conn.OpenStream(ctx, purpose)
	if err != nil {
		return nil, fmt.Errorf("peers: stream to %s: %w", node, err)
	}
	if err := m.greet(stream, node, kind, hello); err != nil {
		stream.Reset()
		return nil, fmt.Errorf("peers: stream to %s: %w", node, err)
	}
	m.counts.opens.Add(1)
	return &Outbound{Stream: stream, Node: node, conn: conn, frames: transport.NewFrameReader(stream, transport.MaxFrame)}, nil
}

// Await returns when node is connected, trying on after failures, or when ctx
// ends.
func (m *Manager) Await(ctx context.Context, node string) error {
	l, err := m.known(node)
	if err != nil {
		return err
	}
	_, err = l.await(ctx, true /* throughFailures */)
	return err
}

func (m *Manager) known(node string) (*link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch l := m.links[node]; {
	case m.closed:
		return nil, ErrClosed
	case l == nil:
		return nil, fmt.Errorf("%w: %q", ErrUnknownNode, node)
	default:
		return l, nil
	}
}

// Close ends everything: connections, dials, streams. Serve returns. It waits
// until nothing of the Manager runs any more, handlers excepted.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	links, conns := m.links, m.conns
	m.links, m.conns = make(map[string]*link), make(map[transport.Conn]struct{})
	m.mu.Unlock()
	m.end()
	for _, l := range links {
		l.close("stopping")
	}
	for conn := range conns {
		conn.Close("stopping")
	}
	m.running.Wait()
}

// jitter returns a duration between half of d and d.
func (m *Manager) jitter(d time.Duration) time.Duration {
	m.randMu.Lock()
	defer m.randMu.Unlock()
	return d/2 + time.Duration(m.rand.Int64N(int64(d/2)+1))
}

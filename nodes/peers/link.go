package peers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lockstep/transport"
)

// link is the connection to one other node: who dials, when, and which of two
// connections stays.
//
// The node with the lower id dials; the other waits DialGrace for it and then
// dials as well, since the way may be open in its direction only. When both
// succeed at once, both sides keep the one that the lower id dialed.
type link struct {
	m    *Manager
	node string

	mu      sync.Mutex
	address string
	conn    transport.Conn
	// byLower tells who dialed conn, and since when it is there.
	byLower bool
	since   time.Time
	// failure is why the last dial failed; nil while one is under way or none was.
	failure error
	// changed is closed when conn, failure or gone change.
	changed chan struct{}
	// gone is set when the link was closed, stop ends its goroutine.
	gone bool
	stop context.CancelFunc
}

func newLink(m *Manager, node string) *link {
	return &link{m: m, node: node, changed: make(chan struct{})}
}

// setAddress makes the link dial; a connection that stands is kept.
func (l *link) setAddress(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address = address
	if l.stop != nil || l.gone {
		return
	}
	ctx, cancel := context.WithCancel(l.m.lifetime)
	l.stop = cancel
	l.m.running.Add(1)
	go func() {
		defer l.m.running.Done()
		l.run(ctx)
	}()
}

// adopt takes a connection that was just made, unless a better one stands.
func (l *link) adopt(conn transport.Conn, dialedByLower bool) bool {
	old, taken := l.replace(conn, dialedByLower, l.m.deps.Clocks.Mono.Now())
	if old != nil {
		old.Close("a newer connection between these nodes took over")
	}
	return taken
}

func (l *link) replace(conn transport.Conn, dialedByLower bool, now time.Time) (old transport.Conn, taken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return nil, false
	}
	if l.conn != nil && l.conn.Context().Err() == nil {
		// Within a dial's time both sides may have dialed at once. Later, the other
		// side would not have dialed unless it had lost the old connection.
		if l.byLower && !dialedByLower && now.Sub(l.since) < l.m.cfg.DialTimeout {
			return nil, false
		}
		old = l.conn
	}
	l.conn, l.byLower, l.since, l.failure = conn, dialedByLower, now, nil
	l.signal()
	return old, true
}

// await returns the connection once there is one.
func (l *link) await(ctx context.Context, throughFailures bool) (transport.Conn, error) {
	for {
		conn, failure, changed, err := l.look()
		switch {
		case err != nil:
			return nil, err
		case conn != nil:
			return conn, nil
		case failure != nil && !throughFailures:
			return nil, fmt.Errorf("%w to %s: %w", ErrNotConnected, l.node, failure)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w to %s: %w", ErrNotConnected, l.node, context.Cause(ctx))
		}
	}
}

func (l *link) look() (conn transport.Conn, failure error, changed <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone:
		return nil, nil, nil, fmt.Errorf("%w: %q", ErrUnknownNode, l.node)
	case l.conn != nil && l.conn.Context().Err() == nil:
		return l.conn, nil, nil, nil
	case l.stop == nil:
		// Nobody dials: the node connected to us once and is no member yet.
		return nil, nil, nil, fmt.Errorf("%w to %s: it is no member", ErrNotConnected, l.node)
	}
	return nil, l.failure, l.changed, nil
}

// current is the connection, or nil.
func (l *link) current() transport.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.conn.Context().Err() != nil {
		return nil
	}
	return l.conn
}

func (l *link) close(reason string) {
	l.mu.Lock()
	l.gone = true
	stop, conn := l.stop, l.conn
	l.signal()
	l.mu.Unlock()
	if stop != nil {
		stop()
	}
	if conn != nil {
		conn.Close(reason)
	}
}

// member tells whether SetMembers has named the node.
func (l *link) member() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.address != ""
}

func (l *link) signal() {
	close(l.changed)
	l.changed = make(chan struct{})
}

package serve

import (
	"sync"

	"lockstep/engine"
	"lockstep/transport"
)

// connKey names a client's connection: its own, or one that a node relays.
type connKey struct {
	conn transport.Conn // its own; nil if relayed
	// node and number name a connection on the relaying node.
	node   string
	number uint64
	// principal keeps a number from being taken for another's.
	principal string
}

// conn is what the streams of one client connection share: the sessions bound on
// it. Ids come from the log and are guessable, so nothing is done for a session
// that the connection has not shown the secret of.
type conn struct {
	key    connKey
	number uint64 // names it to the leader when it is relayed
	relay  bool

	mu    sync.Mutex
	bound map[engine.SessionID]uint32 // incarnation
	uses  int                         // streams; guarded by conns.mu
}

func (c *conn) bind(id engine.SessionID, incarnation uint32) {
	c.mu.Lock()
	c.bound[id] = max(incarnation, c.bound[id])
	c.mu.Unlock()
}

// unbindAll forgets the sessions: their client must show its secrets again.
func (c *conn) unbindAll() {
	c.mu.Lock()
	clear(c.bound)
	c.mu.Unlock()
}

func (c *conn) isBound(id engine.SessionID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.bound[id]
	return ok
}

// conns are the client connections that have streams open.
type conns struct {
	mu   sync.Mutex
	open map[connKey]*conn
	next uint64
}

// enter finds or makes the connection of a stream; leave must follow.
func (r *conns) enter(key connKey) *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.open[key]
	if c == nil {
		r.next++
		c = &conn{key: key, number: r.next, relay: key.conn == nil, bound: map[engine.SessionID]uint32{}}
		r.open[key] = c
	}
	c.uses++
	return c
}

func (r *conns) leave(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.uses--
	// A client's own connection keeps its bindings until it closes; a relayed one
	// lasts as long as its streams.
	if c.uses == 0 && (c.relay || c.key.conn.Context().Err() != nil) {
		delete(r.open, c.key)
	}
}

// forget drops a client's connection that has closed.
func (r *conns) forget(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.uses == 0 {
		delete(r.open, c.key)
	}
}

func (r *conns) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

const (
	// maxClientFrame is the largest frame a client accepts: a page of a listing.
	maxClientFrame = 32 << 20
	// opsQueue is how many bytes of requests may wait to be written.
	opsQueue = 4 << 20
	// smallQueue is the same for heartbeats and watch requests.
	smallQueue = 256 << 10
)

// conn is one welcomed connection to a node, with its streams. It lives from the
// Welcome until the first failure of any of them.
type conn struct {
	link    *link
	carrier transport.Conn
	address string
	welcome *lockstepv1.Welcome
	ops     *channel

	// ctx ends when the connection is given up.
	ctx  context.Context
	give context.CancelCauseFunc

	// Guarded by link.mu.
	pending map[uint64]*call
	lastID  uint64
	// heard is when the last frame arrived.
	heard time.Time
	// owedSince is when requests were first seen pending in a silence.
	owedSince time.Time
	// useful: the node has answered something since its Welcome.
	useful bool
	beats  *beats
	// kick wakes the heartbeat loop before its time.
	kick chan struct{}

	closeOnce sync.Once
}

// channel is a stream whose frames are written by anybody and read by one.
type channel struct {
	stream transport.Stream
	frames *transport.FrameReader
	out    *transport.FrameWriter
}

// openChannel opens a stream and says Hello on it; the Welcome is the reader's
// to expect.
func openChannel(ctx context.Context, carrier transport.Conn, purpose transport.Purpose, hello *lockstepv1.Hello, queue int) (*channel, error) {
	stream, err := carrier.OpenStream(ctx, purpose)
	if err != nil {
		return nil, err
	}
	c := &channel{
		stream: stream,
		frames: transport.NewFrameReader(stream, maxClientFrame),
		out:    transport.NewFrameWriter(stream, queue),
	}
	if err := c.out.TryEnqueueMessage(hello); err != nil {
		c.close(err)
		return nil, err
	}
	return c, nil
}

func (c *channel) close(why error) {
	c.out.Fail(why)
	c.stream.Reset()
}

// welcomed reads the Welcome, the first frame on every stream.
func (c *channel) welcomed() (*lockstepv1.Welcome, error) {
	w := new(lockstepv1.Welcome)
	if err := transport.ReadMessage(c.frames, w); err != nil {
		return nil, err
	}
	if w.GetVersion() != ProtocolVersion && w.GetProblem() == nil {
		return nil, &Error{Err: ErrVersion, Detail: fmt.Sprintf("node %s speaks version %d, this client %d", w.GetNode(), w.GetVersion(), ProtocolVersion)}
	}
	return w, nil
}

// openConn dials a node and returns when it has welcomed this client.
func (l *link) openConn(ctx context.Context, address string) (*conn, error) {
	ctx, cancel := l.client.withTimeout(ctx, l.client.cfg.DialTimeout)
	defer cancel()
	carrier, err := l.client.deps.Network.Dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, dialError(err))
	}
	c := &conn{link: l, carrier: carrier, address: address, pending: make(map[uint64]*call), kick: make(chan struct{}, 1)}
	c.ctx, c.give = context.WithCancelCause(l.ctx)
	if err := c.greet(ctx); err != nil {
		c.close(err)
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return c, nil
}

// dialError marks refusals that trying again does not change.
func dialError(err error) error {
	if errors.Is(err, transport.ErrRefused) {
		return &Error{Err: ErrNotPermitted, Detail: "the node refused the connection; check certificates", Cause: err}
	}
	return err
}

func (c *conn) greet(ctx context.Context) error {
	// A peer that accepts the connection and then says nothing is given up, too.
	stop := context.AfterFunc(ctx, func() { c.carrier.Close("no welcome in time") })
	defer stop()
	ops, err := openChannel(ctx, c.carrier, transport.PurposeOps, c.link.client.hello(), opsQueue)
	if err != nil {
		return err
	}
	c.ops = ops
	w, err := ops.welcomed()
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	c.welcome = w
	return c.link.client.noteWelcome(w)
}

// node is the id of the node at the other end.
func (c *conn) node() string { return c.welcome.GetNode() }

// readOne reads one answer, on a connection that no link has adopted.
func (c *conn) readOne() (*lockstepv1.NodeFrame, error) {
	f := new(lockstepv1.NodeFrame)
	if err := transport.ReadMessage(c.ops.frames, f); err != nil {
		return nil, err
	}
	return f, nil
}

// hearLocked notes that the node is there.
func (c *conn) hearLocked() {
	c.heard = c.link.client.mono().Now()
	c.owedSince = time.Time{}
	c.useful = true
}

// close gives the connection up; the link notices through ctx.
func (c *conn) close(why error) {
	c.closeOnce.Do(func() {
		c.give(why)
		if c.ops != nil {
			c.ops.close(why)
		}
		c.carrier.Close(why.Error())
	})
}

// readOps hands answers to who asked and events to their sessions.
func (c *conn) readOps() {
	for {
		payload, err := c.ops.frames.Read()
		if err != nil {
			c.close(fmt.Errorf("connection to %s: %w", c.address, err))
			return
		}
		f := new(lockstepv1.NodeFrame)
		if err := transport.DecodeMessage(payload, f); err != nil {
			c.close(fmt.Errorf("connection to %s: %w", c.address, err))
			return
		}
		if f.GetId() == 0 {
			c.link.pushed(c, f)
			continue
		}
		// An id that is not pending belongs to a request that was dropped.
		if asked := c.link.take(c, f.GetId()); asked != nil {
			c.link.dispatch(asked, c, f)
		}
	}
}

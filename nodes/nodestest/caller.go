package nodestest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// ErrStreamEnded is returned by calls that were open when the stream ended.
var ErrStreamEnded = errors.New("nodestest: the stream has ended")

// Connect opens a client's connection to a node.
func (c *Cluster) Connect(network transport.Network, node string) transport.Conn {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := network.Dial(ctx, c.Address(node))
	require.NoError(c.t, err)
	return conn
}

// OpenStream opens a stream and says Hello; the frames that are returned begin
// with the Welcome.
func OpenStream(tb testing.TB, conn transport.Conn, purpose transport.Purpose) (transport.Stream, *transport.FrameReader) {
	tb.Helper()
	stream, err := conn.OpenStream(context.Background(), purpose)
	require.NoError(tb, err)
	hello := &lockstepv1.Hello{Kind: lockstepv1.Hello_KIND_CLIENT, Version: 1, Cluster: Name}
	frame, err := transport.AppendMessage(nil, hello)
	require.NoError(tb, err)
	_, err = stream.Write(frame)
	require.NoError(tb, err)
	return stream, transport.NewFrameReader(stream, transport.MaxFrame)
}

// Caller speaks the protocol of ops streams without any of a client's cleverness:
// it retries nothing and believes nothing.
type Caller struct {
	t      testing.TB
	Stream transport.Stream

	mu      sync.Mutex
	last    uint64
	open    map[uint64]chan *lockstepv1.NodeFrame
	pushed  []*lockstepv1.SessionEvents
	welcome *lockstepv1.Welcome
	ended   bool
	done    chan struct{}
}

// NewCaller opens an ops stream.
func NewCaller(tb testing.TB, conn transport.Conn) *Caller {
	tb.Helper()
	stream, frames := OpenStream(tb, conn, transport.PurposeOps)
	c := &Caller{t: tb, Stream: stream, open: make(map[uint64]chan *lockstepv1.NodeFrame), done: make(chan struct{})}
	welcome := new(lockstepv1.Welcome)
	require.NoError(tb, transport.ReadMessage(frames, welcome))
	require.Nil(tb, welcome.GetProblem())
	c.welcome = welcome
	go c.read(frames)
	return c
}

// Welcome is what the node answered the Hello with.
func (c *Caller) Welcome() *lockstepv1.Welcome { return c.welcome }

// Done is closed when the stream has ended.
func (c *Caller) Done() <-chan struct{} { return c.done }

func (c *Caller) read(frames *transport.FrameReader) {
	defer c.end()
	for {
		f := new(lockstepv1.NodeFrame)
		if transport.ReadMessage(frames, f) != nil {
			return
		}
		c.mu.Lock()
		if f.GetId() == 0 && f.GetSessionEvents() != nil {
			c.pushed = append(c.pushed, f.GetSessionEvents())
		}
		answer := c.open[f.GetId()]
		delete(c.open, f.GetId())
		c.mu.Unlock()
		if answer != nil {
			answer <- f
		}
	}
}

func (c *Caller) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, answer := range c.open {
		close(answer)
	}
	clear(c.open)
	close(c.done)
}

// Send sends a request and returns where its answer will arrive; the channel is
// closed without one if the stream ends.
func (c *Caller) Send(body *lockstepv1.ClientFrame) (<-chan *lockstepv1.NodeFrame, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, ErrStreamEnded
	}
	c.last++
	f := proto.CloneOf(body)
	f.Id = c.last
	answer := make(chan *lockstepv1.NodeFrame, 1)
	c.open[f.Id] = answer
	frame, err := transport.AppendMessage(nil, f)
	if err != nil {
		return nil, err
	}
	if _, err := c.Stream.Write(frame); err != nil {
		delete(c.open, f.Id)
		return nil, fmt.Errorf("%w: %w", ErrStreamEnded, err)
	}
	return answer, nil
}

// Call sends a request and waits for its answer; ErrStreamEnded.
func (c *Caller) Call(body *lockstepv1.ClientFrame) (*lockstepv1.NodeFrame, error) {
	answer, err := c.Send(body)
	if err != nil {
		return nil, err
	}
	f, ok := <-answer
	if !ok {
		return nil, ErrStreamEnded
	}
	return f, nil
}

// Must is Call for requests whose stream must not end.
func (c *Caller) Must(body *lockstepv1.ClientFrame) *lockstepv1.NodeFrame {
	c.t.Helper()
	f, err := c.Call(body)
	require.NoError(c.t, err)
	return f
}

// Pushed takes the events that were pushed so far.
func (c *Caller) Pushed() []*lockstepv1.SessionEvents {
	c.mu.Lock()
	defer c.mu.Unlock()
	pushed := c.pushed
	c.pushed = nil
	return pushed
}

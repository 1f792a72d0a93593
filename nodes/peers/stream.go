package peers

import (
	"context"
	"sync"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// Handler serves one accepted stream on a goroutine of its own. ctx ends with
// the connection or the Manager. The handler must end the stream, by CloseWrite
// after it has read to io.EOF, or by Reset; the Manager does not touch it again.
type Handler func(ctx context.Context, in *Inbound)

// Inbound is an accepted stream whose Hello was checked and welcomed.
type Inbound struct {
	Conn   transport.Conn
	Stream transport.Stream
	// Frames reads what follows the Hello.
	Frames *transport.FrameReader
	Hello  *lockstepv1.Hello
	// Peer is who is at the other end, by its certificate.
	Peer transport.Peer
}

// Outbound is a stream to another node. Write to Stream at once; read with Read,
// which takes the Welcome off first.
type Outbound struct {
	Stream transport.Stream
	// Node is the node at the other end.
	Node string

	conn     transport.Conn
	frames   *transport.FrameReader
	welcomed sync.Once
	welcome  *lockstepv1.Welcome
	refused  error
}

// Alive tells whether the stream's connection stands.
func (o *Outbound) Alive() bool { return o.conn.Context().Err() == nil }

// Welcome reads the other node's Welcome, once; later calls return the same. A
// stream that was refused gives a *RefusedError. It must not run beside Read.
func (o *Outbound) Welcome() (*lockstepv1.Welcome, error) {
	o.welcomed.Do(o.readWelcome)
	return o.welcome, o.refused
}

// Read returns the payload of the next frame after the Welcome, valid until the
// next call. Errors are those of Welcome and of transport.FrameReader.Read.
func (o *Outbound) Read() ([]byte, error) {
	if _, err := o.Welcome(); err != nil {
		return nil, err
	}
	return o.frames.Read()
}

func (o *Outbound) readWelcome() {
	welcome := new(lockstepv1.Welcome)
	if err := transport.ReadMessage(o.frames, welcome); err != nil {
		o.refused = err
		return
	}
	o.welcome = welcome
	if welcome.GetProblem() != nil {
		o.refused = &RefusedError{Node: o.Node, Problem: welcome.GetProblem()}
	}
}

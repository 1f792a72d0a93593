package raftwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"lockstep/nodes/peers"
	"lockstep/transport"
)

// serveRaft serves a stream of requests, one after the other.
func (t *Transport) serveRaft(ctx context.Context, in *peers.Inbound) {
	defer in.Stream.Reset()
	ctx, leave := t.enter(ctx, in.Stream)
	defer leave()
	node := []byte(in.Hello.GetFromNode())
	// One of each for the life of the stream: an append costs no allocation here.
	answers := make(chan raft.RPCResponse, 1)
	var frame []byte
	for {
		received, err := in.Frames.Read()
		if err != nil {
			t.ended(in, err)
			return
		}
		request, err := decodeRequest(received, node)
		if err != nil {
			t.ended(in, err)
			return
		}
		answer, err := t.gate.pass(ctx, request, answers)
		if err != nil {
			return
		}
		t.counts.served.Add(1)
		if frame, err = t.answer(in.Stream, frame[:0], answer); err != nil {
			t.ended(in, err)
			return
		}
	}
}

// serveBulk serves one installation.
func (t *Transport) serveBulk(ctx context.Context, in *peers.Inbound) {
	defer in.Stream.Reset()
	ctx, leave := t.enter(ctx, in.Stream)
	defer leave()
	received, err := in.Frames.Read()
	if err != nil {
		t.ended(in, err)
		return
	}
	if len(received) == 0 || message(received[0]) != msgInstall {
		t.ended(in, fmt.Errorf("%w: a bulk stream begins with the snapshot's head", errGarbage))
		return
	}
	request, err := decodeInstall(received[1:], []byte(in.Hello.GetFromNode()))
	if err != nil {
		t.ended(in, err)
		return
	}
	data := &chunks{stream: in.Stream, frames: in.Frames, left: request.Size, t: t}
	answer, drained, err := t.gate.install(ctx, request, data)
	if err != nil {
		t.ended(in, err)
		return
	}
	t.counts.installs.Add(1)
	if drained {
		t.counts.drained.Add(1)
	}
	if _, err := t.answer(in.Stream, nil, answer); err != nil {
		t.ended(in, err)
		return
	}
	// A reset now would overtake the answer. The other side resets when it has it.
	in.Stream.SetReadDeadline(t.after(t.cfg.CallTimeout))
	in.Frames.Read()
}

// enter makes Close end the stream, and the context end with Close.
func (t *Transport) enter(ctx context.Context, stream transport.Stream) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(t.life, func() {
		cancel(ErrStopped)
		stream.Reset()
	})
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

func (t *Transport) answer(stream transport.Stream, frame []byte, answer raft.RPCResponse) ([]byte, error) {
	frame = endFrame(encodeReply(beginFrame(frame), answer))
	if err := stream.SetWriteDeadline(t.after(t.cfg.CallTimeout)); err != nil {
		return frame, err
	}
	_, err := stream.Write(frame)
	return frame, err
}

// ended logs why a stream of another node is given up, where that is news.
func (t *Transport) ended(in *peers.Inbound, err error) {
	if errors.Is(err, errGarbage) || errors.Is(err, transport.ErrFrameTooLarge) {
		t.counts.garbage.Add(1)
		t.logger.Error("a node sent garbage, its stream is closed",
			"node", in.Hello.GetFromNode(), "purpose", in.Stream.Purpose(), "error", err)
		return
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, transport.ErrReset) {
		t.logger.Debug("a raft stream ended", "node", in.Hello.GetFromNode(), "error", err)
	}
}

// chunks reads a snapshot's data: frames, an empty one after the last.
type chunks struct {
	t      *Transport
	stream transport.Stream
	frames *transport.FrameReader
	left   int64
	chunk  []byte
	err    error
}

// Read returns io.EOF after the empty frame only: data that was cut off is an
// error.
func (c *chunks) Read(p []byte) (int, error) {
	for len(c.chunk) == 0 && c.err == nil {
		c.chunk, c.err = c.next()
	}
	if len(c.chunk) == 0 {
		return 0, c.err
	}
	n := copy(p, c.chunk)
	c.chunk = c.chunk[n:]
	return n, nil
}

func (c *chunks) next() ([]byte, error) {
	if err := c.stream.SetReadDeadline(c.t.after(c.t.cfg.ChunkTimeout)); err != nil {
		return nil, err
	}
	chunk, err := c.frames.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	case len(chunk) == 0 && c.left == 0:
		return nil, io.EOF
	case len(chunk) == 0:
		return nil, fmt.Errorf("%w: %d bytes of the snapshot are missing", errGarbage, c.left)
	case int64(len(chunk)) > c.left:
		return nil, fmt.Errorf("%w: the snapshot is longer than announced", errGarbage)
	}
	c.left -= int64(len(chunk))
	return chunk, nil
}

// after is the instant d from now.
func (t *Transport) after(d time.Duration) time.Time { return t.clock.Now().Add(d) }

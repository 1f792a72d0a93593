package peers

import (
	"context"
	"errors"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// acceptStreams serves a connection's streams, each on a goroutine of its own.
// At MaxStreams it accepts no more until one ends: the opener feels the
// transport's own limit then.
func (m *Manager) acceptStreams(conn transport.Conn) {
	ctx := conn.Context()
	slots := make(chan struct{}, m.cfg.MaxStreams)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		m.counts.streams.Add(1)
		go func() {
			m.serveStream(ctx, conn, stream)
			m.counts.streams.Add(-1)
			<-slots
		}()
	}
}

func (m *Manager) serveStream(ctx context.Context, conn transport.Conn, stream transport.Stream) {
	in := &Inbound{Conn: conn, Stream: stream, Peer: conn.Peer()}
	h, refused, err := m.handshake(in)
	switch {
	case err != nil:
		stream.Reset()
	case refused != nil:
		m.refusals.note(in.Peer, in.Hello, refused)
		m.refuse(stream, refused)
	default:
		h(ctx, in)
	}
}

// handshake reads the Hello and welcomes it. Neither a handler nor a problem
// comes with an error.
func (m *Manager) handshake(in *Inbound) (Handler, *lockstepv1.Problem, error) {
	// The deadline also holds while a refusal is being read by the other side.
	if err := m.setDeadlines(in.Stream, m.deps.Clocks.Mono.Now().Add(m.cfg.HelloTimeout)); err != nil {
		return nil, nil, err
	}
	first := transport.NewFrameReader(in.Stream, MaxHello)
	in.Hello = new(lockstepv1.Hello)
	switch err := transport.ReadMessage(first, in.Hello); {
	case errors.Is(err, transport.ErrMalformed):
		return nil, problem(lockstepv1.Code_CODE_INVALID, "the first frame is no Hello"), nil
	case errors.Is(err, transport.ErrFrameTooLarge):
		return nil, problem(lockstepv1.Code_CODE_INVALID, "the Hello is larger than %d bytes", MaxHello), nil
	case err != nil:
		return nil, nil, err
	}
	if refused := m.check(in.Peer, in.Hello, in.Stream.Purpose()); refused != nil {
		return nil, refused, nil
	}
	if err := m.welcome(in.Stream, nil); err != nil {
		return nil, nil, err
	}
	if err := m.setDeadlines(in.Stream, time.Time{}); err != nil {
		return nil, nil, err
	}
	kind, purpose := in.Hello.GetKind(), in.Stream.Purpose()
	in.Frames = transport.NewFrameReader(first.Rest(), maxFrame(kind, purpose))
	return m.handler(kind, purpose), nil, nil
}

func (m *Manager) handler(kind lockstepv1.Hello_Kind, purpose transport.Purpose) Handler {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.handlers[route{kind, purpose}]
}

func (m *Manager) setDeadlines(stream transport.Stream, at time.Time) error {
	return errors.Join(stream.SetReadDeadline(at), stream.SetWriteDeadline(at))
}

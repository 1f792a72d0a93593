package raftwire

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lockstep/nodes/peers"
	"lockstep/transport"
)

// lane keeps requests of different urgency on different streams.
type lane uint8

const (
	laneAppend    lane = 1
	laneHeartbeat lane = 2
	laneControl   lane = 3
)

// call names where a request goes, and how long it may take.
type call struct {
	node    string
	lane    lane
	timeout time.Duration
}

// pool keeps unused streams. A call has a stream for itself from its request to
// its answer; a stream whose call failed is reset, so that a late request does
// not reach Raft, nor a late answer the next call.
type pool struct {
	t *Transport

	mu     sync.Mutex
	closed bool
	idle   map[lane]map[string][]*callStream
	busy   map[*callStream]struct{}
}

type callStream struct {
	out   *peers.Outbound
	frame []byte
}

// call sends a request and hands the answer to decode, on the caller's goroutine.
func (p *pool) call(ctx context.Context, c call, encode func(dst []byte) []byte, decode func(frame []byte) error) error {
	s, err := p.take(ctx, c)
	if err != nil {
		return err
	}
	if err := p.roundTrip(s, c, encode, decode); err != nil {
		p.drop(s)
		return fmt.Errorf("raftwire: call to %s: %w", c.node, err)
	}
	p.put(s, c)
	return nil
}

func (p *pool) roundTrip(s *callStream, c call, encode func([]byte) []byte, decode func([]byte) error) error {
	deadline := p.t.after(c.timeout)
	if err := s.out.Stream.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if err := s.out.Stream.SetReadDeadline(deadline); err != nil {
		return err
	}
	s.frame = endFrame(encode(beginFrame(s.frame[:0])))
	if len(s.frame)-transport.FrameHeader > transport.MaxFrame {
		return transport.ErrFrameTooLarge
	}
	p.t.counts.sent.Add(1)
	if _, err := s.out.Stream.Write(s.frame); err != nil {
		return err
	}
	answer, err := s.out.Read()
	if err != nil {
		return err
	}
	return decode(answer)
}

// take returns an unused stream, or opens one.
func (p *pool) take(ctx context.Context, c call) (*callStream, error) {
	if s, err := p.reuse(c); s != nil || err != nil {
		return s, err
	}
	ctx, cancel := p.t.withinOf(ctx, c.timeout)
	defer cancel()
	out, err := p.t.open(ctx, c.node, transport.PurposeRaft)
	if err != nil {
		return nil, err
	}
	s := &callStream{out: out}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		out.Stream.Reset()
		return nil, ErrStopped
	}
	if p.busy == nil {
		p.busy = make(map[*callStream]struct{})
	}
	p.busy[s] = struct{}{}
	return s, nil
}

func (p *pool) reuse(c call) (*callStream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrStopped
	}
	for idle := p.idle[c.lane][c.node]; len(idle) > 0; {
		s := idle[len(idle)-1]
		idle = idle[:len(idle)-1]
		p.idle[c.lane][c.node] = idle
		if s.out.Alive() {
			p.busy[s] = struct{}{}
			return s, nil
		}
	}
	return nil, nil
}

func (p *pool) put(s *callStream, c call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, s)
	if p.idle == nil {
		p.idle = make(map[lane]map[string][]*callStream)
	}
	if p.idle[c.lane] == nil {
		p.idle[c.lane] = make(map[string][]*callStream)
	}
	if p.closed || len(p.idle[c.lane][c.node]) >= maxIdleStreams {
		s.out.Stream.Reset()
		return
	}
	p.idle[c.lane][c.node] = append(p.idle[c.lane][c.node], s)
}

func (p *pool) drop(s *callStream) {
	s.out.Stream.Reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, s)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, lanes := range p.idle {
		for _, idle := range lanes {
			for _, s := range idle {
				s.out.Stream.Reset()
			}
		}
	}
	p.idle = nil
	for s := range p.busy {
		s.out.Stream.Reset()
	}
}

// within is a context that ends with the transport or after d.
func (t *Transport) within(d time.Duration) (context.Context, context.CancelFunc) {
	return t.withinOf(t.life, d)
}

func (t *Transport) withinOf(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := t.clock.AfterFunc(d, func() { cancel(fmt.Errorf("no answer within %v", d)) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

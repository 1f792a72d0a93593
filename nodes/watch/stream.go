package watch

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/jonboulle/clockwork"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/transport"
)

// Source is where listings come from: *replica.Replica is one.
type Source interface {
	// Locked calls f while nothing is applied and no sink runs.
	Locked(f func(e *engine.Engine))
}

// Stream is what watches are served on; a transport.Stream is one.
type Stream interface {
	io.Writer
	CloseWrite() error
	Reset()
	SetWriteDeadline(t time.Time) error
}

// Deps is what serving a stream takes; all fields are required.
type Deps struct {
	Source Source
	Clock  clockwork.Clock
	// Node is the name of this node.
	Node string
}

// Serve serves the watches of one stream until the other side ends it, it fails,
// or ctx ends. It closes or resets the stream.
func (h *Hub) Serve(ctx context.Context, deps Deps, dst Stream, frames *transport.FrameReader) {
	h.count(func(s *Stats) { s.Streams++ })
	defer h.count(func(s *Stats) { s.Streams-- })
	p := newPump(h, deps, dst)
	orders := make(chan *lockstepv1.WatchRequest, commands)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.run(ctx, orders)
	}()
	err := read(frames, orders, ended)
	if !errors.Is(err, io.EOF) {
		dst.Reset()
	}
	close(orders)
	<-ended
}

// read hands requests on until the stream ends.
func read(frames *transport.FrameReader, orders chan<- *lockstepv1.WatchRequest, ended <-chan struct{}) error {
	for {
		request := new(lockstepv1.WatchRequest)
		if err := transport.ReadMessage(frames, request); err != nil {
			return err
		}
		select {
		case orders <- request:
		case <-ended:
			return io.ErrClosedPipe
		}
	}
}

// pump tells the watches of one stream what happens. Only its goroutine uses it.
//
// All watches share one place in the history: an event is looked at once,
// however many watches there are. A watch that starts further back is brought up
// to that place first. Nothing is kept for a watcher that does not read: its place
// in the history stands still until the history has passed it.
type pump struct {
	hub  *Hub
	deps Deps
	dst  Stream

	watches map[uint64]*watch
	// under and at find the watches that an event concerns.
	under, at map[string][]*watch
	// cursor is the number of the next event to look at, through the position up to
	// which everything was looked at.
	cursor  uint64
	through engine.Position
	buffer  []engine.Event
	// touched are the watches with events to be sent.
	touched []*watch
	out     []byte
}

// watch is one watch of the stream.
type watch struct {
	id     uint64
	prefix string
	exact  bool
	// after and from are where it begins: by position and by number.
	after engine.Position
	from  uint64
	// told is the position that the watcher knows it was told of everything up to.
	told    engine.Position
	pending []*lockstepv1.Event
}

func newPump(h *Hub, deps Deps, dst Stream) *pump {
	return &pump{
		hub: h, deps: deps, dst: dst, watches: make(map[uint64]*watch),
		under: make(map[string][]*watch), at: make(map[string][]*watch),
		buffer: make([]engine.Event, 0, readEvents),
	}
}

func (p *pump) run(ctx context.Context, orders <-chan *lockstepv1.WatchRequest) {
	defer func() { p.hub.count(func(s *Stats) { s.Watches -= len(p.watches) }) }()
	progress := p.deps.Clock.NewTicker(p.hub.cfg.Progress)
	defer progress.Stop()
	for {
		if err := p.advance(); err != nil {
			p.dst.Reset()
			return
		}
		select {
		case request, open := <-orders:
			if !open {
				p.dst.CloseWrite()
				return
			}
			p.obey(request)
		case <-p.more():
		case <-progress.Chan():
			p.reportProgress()
		case <-ctx.Done():
			p.dst.Reset()
			return
		}
		if err := p.flush(); err != nil {
			p.dst.Reset()
			return
		}
	}
}

// more is closed when there are further events; nil without watches.
func (p *pump) more() <-chan struct{} {
	if len(p.watches) == 0 {
		return nil
	}
	if changed := p.hub.Wait(p.cursor); changed != nil {
		return changed
	}
	return closedChannel
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// advance tells the watches of a portion of what is new.
func (p *pump) advance() error {
	if len(p.watches) == 0 {
		return nil
	}
	events, next, through, err := p.hub.Read(p.cursor, p.buffer)
	if err != nil {
		p.endAll(lockstepv1.WatchEnded_REASON_TOO_SLOW)
		return p.flush()
	}
	for i := range events {
		p.distribute(p.cursor+uint64(i), &events[i])
	}
	p.cursor, p.through = next, through
	p.sendTouched(through)
	return p.flush()
}

// distribute gives an event to every watch that it concerns.
func (p *pump) distribute(number uint64, e *engine.Event) {
	var message *lockstepv1.Event
	give := func(watches []*watch) {
		for _, w := range watches {
			if number >= w.from {
				message = p.give(w, e, message)
			}
		}
	}
	give(p.at[e.Path])
	if len(p.under) > 0 {
		ancestors(e.Path, func(prefix string) { give(p.under[prefix]) })
	}
}

// send adds a frame to what is written next.
func (p *pump) send(frame *lockstepv1.WatchFrame) {
	out, err := transport.AppendMessage(p.out, frame)
	if err != nil {
		// Too large for a frame, which limits.go excludes: a bug.
		panic("watch: " + err.Error())
	}
	p.out = out
}

// flush writes what was gathered. A watcher that does not read makes it wait, for
// a bounded time.
func (p *pump) flush() error {
	if len(p.out) == 0 {
		return nil
	}
	if err := p.dst.SetWriteDeadline(p.deps.Clock.Now().Add(p.hub.cfg.WriteTimeout)); err != nil {
		return err
	}
	_, err := p.dst.Write(p.out)
	p.out = p.out[:0]
	if cap(p.out) > keptBuffer {
		p.out = nil
	}
	return err
}

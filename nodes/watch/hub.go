package watch

import (
	"math"
	"sort"
	"sync"

	"lockstep/engine"
	"lockstep/nodes/replica"
)

// Hub keeps the latest events of the node's own log. Every event has a number,
// its place in the order of this process; positions are what outlives it. All
// methods may be called from any goroutine.
type Hub struct {
	cfg Config

	mu sync.RWMutex
	// ring holds the events numbered first to next-1; its length is a power of 2.
	ring        []engine.Event
	first, next uint64
	bytes       int
	// forgotten is the position of the last event not kept: history can be resumed
	// after it, and not before.
	forgotten engine.Position
	// head is the position up to which everything is known.
	head engine.Position
	// changed is closed when something was added; nil unless somebody waits.
	changed chan struct{}
	stats   Stats
}

// Stats counts what happened at a Hub.
type Stats struct {
	// Events that were kept, and how many of them are now.
	Events, Kept uint64
	// Bytes is about what they take.
	Bytes int
	// Streams and Watches that are open.
	Streams, Watches int
	// TooSlow watches were cut off, Gone ones refused for want of history.
	TooSlow, Gone uint64
}

var _ replica.Sink = (*Hub)(nil)

// firstRing is the ring's length at the beginning.
const firstRing = 64

// New returns a Hub for a replica that has applied nothing yet. It must subscribe
// before Raft is opened: what is replayed from the log after a restart fills it.
func New(cfg Config) (*Hub, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Hub{cfg: cfg, ring: make([]engine.Event, firstRing)}, nil
}

// Applied implements replica.Sink.
func (h *Hub) Applied(_ *engine.Engine, a *replica.Applied) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range a.Outcome.Events {
		h.add(&a.Outcome.Events[i])
	}
	h.head = engine.Position{Index: a.Entry.Index}
	if n := len(a.Outcome.Events); n > 0 {
		h.head = a.Outcome.Events[n-1].Position
	}
	h.signal()
}

// Restored implements replica.Sink: what led to the state is not known here.
func (h *Hub) Restored(e *engine.Engine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.first < h.next {
		h.drop()
	}
	// One number is skipped, so that who waits for the next event notices the gap.
	h.first++
	h.next = h.first
	h.head = endOf(e.Index())
	h.forgotten = h.head
	h.signal()
}

// endOf is the position after all events of an entry.
func endOf(index uint64) engine.Position { return engine.Position{Index: index, N: math.MaxUint32} }

func (h *Hub) add(e *engine.Event) {
	if h.next-h.first == uint64(len(h.ring)) && len(h.ring) < h.cfg.Events {
		h.grow()
	}
	size := sizeOf(e)
	for h.first < h.next && (h.next-h.first >= uint64(min(h.cfg.Events, len(h.ring))) || h.bytes+size > h.cfg.Bytes) {
		h.drop()
	}
	*h.at(h.next) = *e
	h.next++
	h.bytes += size
	h.stats.Events++
}

func (h *Hub) drop() {
	oldest := h.at(h.first)
	h.forgotten = oldest.Position
	h.bytes -= sizeOf(oldest)
	*oldest = engine.Event{}
	h.first++
}

func (h *Hub) grow() {
	larger := make([]engine.Event, 2*len(h.ring))
	for n := h.first; n < h.next; n++ {
		larger[n&uint64(len(larger)-1)] = *h.at(n)
	}
	h.ring = larger
}

func (h *Hub) at(number uint64) *engine.Event { return &h.ring[number&uint64(len(h.ring)-1)] }

func sizeOf(e *engine.Event) int { return eventBytes + len(e.Path) + len(e.Name) }

func (h *Hub) signal() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// Seek returns the number of the first event after a position. The error is a
// *HistoryGoneError. A position that this node has not come to yet is one that
// the log must reach before there are events to tell.
func (h *Hub) Seek(after engine.Position) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if after.Compare(h.forgotten) < 0 {
		h.stats.Gone++
		return 0, &HistoryGoneError{Oldest: h.forgotten}
	}
	kept := int(h.next - h.first)
	n := sort.Search(kept, func(i int) bool {
		return h.at(h.first+uint64(i)).Position.Compare(after) > 0
	})
	return h.first + uint64(n), nil
}

// Read copies events from number from on into buffer. It returns them, the number
// after them and, if there are no more, the position up to which everything has
// been told; otherwise that of the last one. ErrGap: they are no longer kept.
func (h *Hub) Read(from uint64, buffer []engine.Event) (events []engine.Event, next uint64, through engine.Position, err error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if from < h.first {
		return nil, 0, engine.Position{}, ErrGap
	}
	events = buffer[:0]
	for next = from; next < h.next && len(events) < cap(buffer); next++ {
		events = append(events, *h.at(next))
	}
	if next == h.next {
		return events, next, h.head, nil
	}
	return events, next, events[len(events)-1].Position, nil
}

// Wait returns a channel that is closed when there is more than number next; nil
// if there is already.
func (h *Hub) Wait(next uint64) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if next < h.next {
		return nil
	}
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return h.changed
}

// Oldest is the oldest position that can be resumed after, Head the one up to
// which everything is known.
func (h *Hub) Oldest() engine.Position {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.forgotten
}

// Head is the position up to which this node knows everything.
func (h *Hub) Head() engine.Position {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.head
}

// Stats are the counters so far.
func (h *Hub) Stats() Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	stats := h.stats
	stats.Kept, stats.Bytes = h.next-h.first, h.bytes
	return stats
}

func (h *Hub) count(f func(*Stats)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.stats)
}

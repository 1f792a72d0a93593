package client

import (
	"context"
	"fmt"
	"iter"
	"sync"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// Watch yields what happens to the locks at and below prefix ("/" is everything),
// in log order, without gaps or duplicates, through reconnects and restarts of
// nodes, until ctx ends, the loop is left, or the client is closed.
//
// When the position to go on from is no longer kept, it yields a
// *HistoryGoneError with a fresh listing, and goes on with the events after it.
// Any other error is the last thing it yields. A ctx that ends ends the loop
// without an error.
//
// A slow loop slows nobody else down: past MaxWatchBuffer events the watch is
// stopped and later resumed where the loop is.
func (c *Client) Watch(ctx context.Context, prefix string, opts ...WatchOption) iter.Seq2[Event, error] {
	var options watchOptions
	for _, o := range opts {
		o(&options)
	}
	return func(yield func(Event, error) bool) {
		if len(prefix) > MaxText {
			yield(Event{}, &Error{Op: "watch", Err: ErrInvalid, Detail: "the prefix is too long"})
			return
		}
		w := newWatch(c.links[0].watches, prefix, options)
		defer w.stop()
		w.hub.add(w)
		for {
			item, ok := w.next(ctx)
			if !ok {
				return
			}
			if !yield(item.event, item.err) || item.last {
				return
			}
		}
	}
}

// watchItem is what a watch yields next.
type watchItem struct {
	event Event
	err   error
	last  bool
}

// watch is one running Watch loop.
type watch struct {
	hub     *watchHub
	prefix  string
	exact   bool
	changed chan struct{}

	// Guarded by watchHub.mu.

	// wire names the watch on the present stream; 0: it is not running there.
	wire uint64
	// after is where to go on; nil: nothing is known yet, from now on.
	after *Position
	// listing: begin with one, collected in listed.
	listing bool
	listed  []LockInfo
	// gone is told with the listing.
	gone  *HistoryGoneError
	items []watchItem
	// stalled: the buffer was full; go on when the loop has caught up.
	stalled bool
	stopped bool
	tries   int
}

func newWatch(hub *watchHub, prefix string, o watchOptions) *watch {
	return &watch{
		hub: hub, prefix: prefix, exact: o.exact, after: o.after, listing: o.listing,
		changed: make(chan struct{}, 1),
	}
}

// next waits for the next item; false when the watch is over without one.
func (w *watch) next(ctx context.Context) (watchItem, bool) {
	for {
		w.hub.mu.Lock()
		if len(w.items) > 0 {
			item := w.items[0]
			w.items = w.items[1:]
			w.hub.mu.Unlock()
			return item, true
		}
		if w.stalled {
			w.stalled = false
			w.items = nil // what was yielded is held no longer
			w.hub.startLocked(w)
		}
		w.hub.mu.Unlock()
		select {
		case <-w.changed:
		case <-ctx.Done():
			return watchItem{}, false
		}
	}
}

func (w *watch) putLocked(item watchItem) {
	w.items = append(w.items, item)
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watch) stop() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	w.stopped = true
	w.hub.haltLocked(w)
	delete(w.hub.all, w)
}

// watchHub carries all watches of a link on one stream per connection.
//
// Lock order: link.mu is never held with it.
type watchHub struct {
	link *link

	mu      sync.Mutex
	all     map[*watch]struct{}
	byWire  map[uint64]*watch
	conn    *conn
	channel *channel
	opening bool
	lastID  uint64
	closed  bool
}

func newWatchHub(l *link) *watchHub {
	return &watchHub{link: l, all: make(map[*watch]struct{}), byWire: make(map[uint64]*watch)}
}

func (h *watchHub) add(w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[w] = struct{}{}
	if h.closed {
		w.putLocked(watchItem{err: &Error{Op: "watch", Path: w.prefix, Err: ErrClosed}, last: true})
		return
	}
	h.startLocked(w)
}

// attach resumes all watches on a new connection.
func (h *watchHub) attach(n *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = n
	for w := range h.all {
		h.startLocked(w)
	}
}

// detach stops using a connection.
func (h *watchHub) detach(n *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != n {
		return
	}
	if h.channel != nil {
		h.channel.close(transport.ErrClosed)
	}
	h.conn, h.channel, h.opening, h.lastID = nil, nil, false, 0
	clear(h.byWire)
	for w := range h.all {
		w.wire = 0
	}
}

// close ends all watches.
func (h *watchHub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for w := range h.all {
		w.putLocked(watchItem{err: &Error{Op: "watch", Path: w.prefix, Err: ErrClosed}, last: true})
	}
}

// restored follows a new lineage: positions of the old one mean nothing any more.
func (h *watchHub) restored() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.all {
		if w.after != nil {
			w.after, w.listing, w.gone = nil, true, &HistoryGoneError{}
		}
	}
}

// startLocked starts the watch on the present stream, opening that if need be.
func (h *watchHub) startLocked(w *watch) {
	if h.conn == nil || w.wire != 0 || w.stalled || w.stopped || h.closed {
		return
	}
	if h.channel == nil {
		h.openLocked()
		return
	}
	h.lastID++
	w.wire, w.listed = h.lastID, nil
	h.byWire[w.wire] = w
	start := &lockstepv1.StartWatch{Watch: w.wire, Prefix: w.prefix, Exact: w.exact, WithListing: w.listing}
	if w.after != nil && !w.listing {
		start.After = wirePosition(*w.after)
	}
	h.sendLocked(&lockstepv1.WatchRequest{Body: &lockstepv1.WatchRequest_Start{Start: start}})
}

// haltLocked stops the watch on the wire.
func (h *watchHub) haltLocked(w *watch) {
	if w.wire == 0 {
		return
	}
	h.sendLocked(&lockstepv1.WatchRequest{Body: &lockstepv1.WatchRequest_Stop{Stop: &lockstepv1.StopWatch{Watch: w.wire}}})
	delete(h.byWire, w.wire)
	w.wire = 0
}

func (h *watchHub) sendLocked(m *lockstepv1.WatchRequest) {
	if err := h.channel.out.TryEnqueueMessage(m); err != nil {
		h.conn.close(fmt.Errorf("watches on %s: %w", h.conn.address, err))
	}
}

// openLocked opens the stream in the background; the watches start with it.
func (h *watchHub) openLocked() {
	if h.opening {
		return
	}
	h.opening = true
	n, c := h.conn, h.link.client
	c.running.Go(func() {
		ctx, cancel := c.withTimeout(n.ctx, c.cfg.DialTimeout)
		channel, err := openChannel(ctx, n.carrier, transport.PurposeWatch, c.hello(), smallQueue)
		cancel()
		if err != nil {
			n.close(fmt.Errorf("watches on %s: %w", n.address, err))
			return
		}
		context.AfterFunc(n.ctx, func() { channel.close(context.Cause(n.ctx)) })
		h.mu.Lock()
		if h.conn != n {
			h.mu.Unlock()
			channel.close(transport.ErrClosed)
			return
		}
		h.channel, h.opening = channel, false
		for w := range h.all {
			h.startLocked(w)
		}
		h.mu.Unlock()
		n.close(fmt.Errorf("watches on %s: %w", n.address, h.read(n, channel)))
	})
}

func (h *watchHub) read(n *conn, ch *channel) error {
	welcome, err := ch.welcomed()
	if err != nil {
		return err
	}
	if err := h.link.client.noteWelcome(welcome); err != nil {
		return err
	}
	for {
		f := new(lockstepv1.WatchFrame)
		if err := transport.ReadMessage(ch.frames, f); err != nil {
			return err
		}
		h.link.mu.Lock()
		n.hearLocked()
		h.link.mu.Unlock()
		h.received(n, f)
	}
}

// received applies one frame to its watch; frames of watches that were stopped
// are still on their way and ignored.
func (h *watchHub) received(n *conn, f *lockstepv1.WatchFrame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.byWire[f.GetWatch()]
	if w == nil || h.conn != n {
		return
	}
	switch body := f.GetBody().(type) {
	case *lockstepv1.WatchFrame_Started:
		w.tries = 0
		if !w.listing {
			w.reachedLocked(position(body.Started.GetPosition()))
		}
	case *lockstepv1.WatchFrame_Listing:
		w.listedLocked(body.Listing)
	case *lockstepv1.WatchFrame_Events:
		w.eventsLocked(body.Events)
	case *lockstepv1.WatchFrame_Ended:
		h.endedLocked(w, body.Ended)
	}
}

// reachedLocked notes that everything up to p has been told.
func (w *watch) reachedLocked(p Position) {
	if w.after == nil || w.after.Compare(p) < 0 {
		w.after = &p
	}
}

func (w *watch) listedLocked(page *lockstepv1.LockList) {
	if !w.listing {
		return
	}
	for _, l := range page.GetLocks() {
		w.listed = append(w.listed, lockInfo(l))
	}
	if page.GetMore() {
		return
	}
	at := position(page.GetInfo().GetPosition())
	if w.gone != nil {
		w.gone.Locks, w.gone.Position = w.listed, at
		w.putLocked(watchItem{err: w.gone})
	} else {
		w.putLocked(watchItem{event: Event{Kind: EventListing, Position: at, Locks: w.listed}})
	}
	w.listing, w.listed, w.gone = false, nil, nil
	w.reachedLocked(at)
}

func (w *watch) eventsLocked(batch *lockstepv1.WatchEvents) {
	for _, e := range batch.GetEvents() {
		at := position(e.GetPosition())
		if w.after != nil && at.Compare(*w.after) <= 0 {
			continue
		}
		if len(w.items) >= MaxWatchBuffer {
			w.stalled = true
			w.hub.haltLocked(w)
			return
		}
		w.putLocked(watchItem{event: event(e)})
		w.reachedLocked(at)
	}
	if batch.GetThrough() != nil {
		w.reachedLocked(position(batch.GetThrough()))
	}
}

// endedLocked follows the node's word that it does not go on with a watch.
func (h *watchHub) endedLocked(w *watch, end *lockstepv1.WatchEnded) {
	delete(h.byWire, w.wire)
	w.wire = 0
	switch end.GetReason() {
	case lockstepv1.WatchEnded_REASON_HISTORY_GONE:
		w.gone = &HistoryGoneError{Oldest: position(end.GetOldest())}
		w.after, w.listing = nil, true
		h.startLocked(w)
	case lockstepv1.WatchEnded_REASON_TOO_SLOW:
		h.startLocked(w)
	case lockstepv1.WatchEnded_REASON_INVALID:
		w.putLocked(watchItem{err: &Error{Op: "watch", Path: w.prefix, Err: ErrInvalid, Detail: end.GetDetail()}, last: true})
		w.stopped = true
	case lockstepv1.WatchEnded_REASON_STOPPED, lockstepv1.WatchEnded_REASON_UNSPECIFIED:
		h.restartLocked(w)
	default:
		h.restartLocked(w)
	}
}

// restartLocked starts the watch again after a pause.
func (h *watchHub) restartLocked(w *watch) {
	c := h.link.client
	c.mono().AfterFunc(c.pauseFor(w.tries), func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.startLocked(w)
	})
	w.tries++
}

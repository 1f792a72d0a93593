package watch

import (
	"fmt"
	"slices"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/wire"
)

// obey does what the watcher asks for.
func (p *pump) obey(request *lockstepv1.WatchRequest) {
	switch body := request.GetBody().(type) {
	case *lockstepv1.WatchRequest_Start:
		p.start(body.Start)
	case *lockstepv1.WatchRequest_Stop:
		p.end(body.Stop.GetWatch(), lockstepv1.WatchEnded_REASON_STOPPED, "")
	case nil:
		// A request of a later version, which cannot be answered: it names no watch.
	}
}

func (p *pump) start(request *lockstepv1.StartWatch) {
	if why := p.check(request); why != "" {
		p.end(request.GetWatch(), lockstepv1.WatchEnded_REASON_INVALID, why)
		return
	}
	w := &watch{id: request.GetWatch(), prefix: request.GetPrefix(), exact: request.GetExact()}
	var listing *engine.View
	var err error
	switch {
	case request.GetWithListing():
		listing, err = p.snapshot(w)
	case request.GetAfter() != nil:
		w.after = wire.FromPosition(request.GetAfter())
		w.from, err = p.hub.Seek(w.after)
	default:
		w.after = p.hub.Head()
		w.from, err = p.hub.Seek(w.after)
	}
	if err != nil {
		p.ended(w.id, lockstepv1.WatchEnded_REASON_HISTORY_GONE, err.Error())
		return
	}
	w.told = w.after
	p.send(&lockstepv1.WatchFrame{Watch: w.id, Body: &lockstepv1.WatchFrame_Started{
		Started: &lockstepv1.WatchStarted{Position: wire.Position(w.after)},
	}})
	if listing != nil && p.list(w, listing) != nil {
		return // the stream has failed; the next write says so
	}
	p.join(w)
}

// check says what is wrong with a request; empty: nothing.
func (p *pump) check(request *lockstepv1.StartWatch) string {
	_, twice := p.watches[request.GetWatch()]
	switch {
	case request.GetWatch() == 0:
		return "watch 0: number the watches of a stream from 1"
	case twice:
		return fmt.Sprintf("watch %d runs already on this stream", request.GetWatch())
	case len(p.watches) >= p.hub.cfg.Watches:
		return fmt.Sprintf("this stream has %d watches, as many as it may: stop one, or watch a common prefix", len(p.watches))
	case request.GetWithListing() && request.GetAfter() != nil:
		return "a listing shows the state as it is now: ask for it, or for the events after a position"
	case request.GetPrefix() == root && !request.GetExact():
		return ""
	}
	if err := engine.CheckPath(request.GetPrefix()); err != nil {
		return err.Error()
	}
	return ""
}

// snapshot takes a view and makes w begin right after it.
func (p *pump) snapshot(w *watch) (view *engine.View, err error) {
	p.deps.Source.Locked(func(e *engine.Engine) {
		view = e.View()
		w.after = endOf(e.Index())
		w.from, err = p.hub.Seek(w.after)
	})
	return view, err
}

// list sends the locks that w concerns. It writes as it goes: the listing may be
// larger than what should be held in memory.
func (p *pump) list(w *watch, view *engine.View) error {
	list, size := p.newList(w), 0
	send := func(more bool) error {
		list.More = more
		p.send(&lockstepv1.WatchFrame{Watch: w.id, Body: &lockstepv1.WatchFrame_Listing{Listing: list}})
		list, size = p.newList(w), 0
		return p.flush()
	}
	for lock := range view.Locks(w.prefix, "") {
		if w.exact && lock.Path != w.prefix {
			break // the lock itself comes first
		}
		if len(list.Locks) >= p.hub.cfg.ListingLocks || size >= listingBytes {
			if err := send(true); err != nil {
				return err
			}
		}
		list.Locks = append(list.Locks, wire.Lock(&lock, view.Time()))
		size += (1 + len(lock.Holders) + len(lock.Closures)) * (eventBytes + len(lock.Path))
	}
	return send(false)
}

func (p *pump) newList(w *watch) *lockstepv1.LockList {
	return &lockstepv1.LockList{Info: &lockstepv1.ReadInfo{Node: p.deps.Node, Position: wire.Position(w.after), AgeNs: -1}}
}

// join brings a watch up to where the stream's other watches are, and adds it.
func (p *pump) join(w *watch) {
	if len(p.watches) == 0 {
		p.cursor, p.through = w.from, w.after
	}
	for number := w.from; number < p.cursor; {
		limit := min(uint64(cap(p.buffer)), p.cursor-number)
		events, next, through, err := p.hub.Read(number, p.buffer[:0:limit])
		if err != nil {
			p.ended(w.id, lockstepv1.WatchEnded_REASON_TOO_SLOW, err.Error())
			return
		}
		for i := range events {
			if w.concerns(&events[i]) {
				p.give(w, &events[i], nil)
			}
		}
		p.sendTouched(through)
		if p.flush() != nil {
			return
		}
		number = next
	}
	w.from = max(w.from, p.cursor)
	p.watches[w.id] = w
	p.hub.count(func(s *Stats) { s.Watches++ })
	index := p.index(w)
	index[w.prefix] = append(index[w.prefix], w)
}

func (p *pump) index(w *watch) map[string][]*watch {
	if w.exact {
		return p.at
	}
	return p.under
}

func (w *watch) concerns(e *engine.Event) bool {
	if w.exact {
		return e.Path == w.prefix
	}
	return Under(w.prefix, e.Path)
}

// give adds an event to what is sent to w; message is its translation, if there is
// one already, and is returned.
func (p *pump) give(w *watch, e *engine.Event, message *lockstepv1.Event) *lockstepv1.Event {
	// A watcher may know more than this node: it has seen the future on another one.
	if e.Position.Compare(w.after) <= 0 {
		return message
	}
	if message == nil {
		message = wire.Event(e)
	}
	if len(w.pending) == 0 {
		p.touched = append(p.touched, w)
	}
	w.pending = append(w.pending, message)
	return message
}

// sendTouched sends what was given; everything up to through was looked at.
func (p *pump) sendTouched(through engine.Position) {
	for _, w := range p.touched {
		for len(w.pending) > 0 {
			n := min(len(w.pending), p.hub.cfg.FrameEvents)
			events := w.pending[:n:n]
			w.pending = w.pending[n:]
			told := wire.FromPosition(events[n-1].GetPosition())
			if len(w.pending) == 0 {
				told = through
			}
			p.tell(w, events, told)
		}
		w.pending = nil
	}
	clear(p.touched)
	p.touched = p.touched[:0]
}

func (p *pump) tell(w *watch, events []*lockstepv1.Event, through engine.Position) {
	w.told = through
	p.send(&lockstepv1.WatchFrame{Watch: w.id, Body: &lockstepv1.WatchFrame_Events{
		Events: &lockstepv1.WatchEvents{Events: events, Through: wire.Position(through)},
	}})
}

// reportProgress tells watches that nothing happened to how far they are, so that
// they can resume from there and not from their last event.
func (p *pump) reportProgress() {
	for _, id := range p.ids() {
		if w := p.watches[id]; w.told.Compare(p.through) < 0 {
			p.tell(w, nil, p.through)
		}
	}
}

// ids are those of all watches, in order, so that a run repeats itself.
func (p *pump) ids() []uint64 {
	ids := make([]uint64, 0, len(p.watches))
	for id := range p.watches {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// endAll cuts all watches off.
func (p *pump) endAll(reason lockstepv1.WatchEnded_Reason) {
	for _, id := range p.ids() {
		p.end(id, reason, ErrGap.Error())
		p.hub.count(func(s *Stats) { s.TooSlow++ })
	}
}

// end takes a watch off, if it runs, and says why it has ended.
func (p *pump) end(id uint64, reason lockstepv1.WatchEnded_Reason, detail string) {
	if w := p.watches[id]; w != nil {
		delete(p.watches, id)
		p.hub.count(func(s *Stats) { s.Watches-- })
		index := p.index(w)
		rest := slices.DeleteFunc(index[w.prefix], func(other *watch) bool { return other == w })
		if len(rest) == 0 {
			delete(index, w.prefix)
		} else {
			index[w.prefix] = rest
		}
	}
	p.ended(id, reason, detail)
}

// ended says that there is no such watch, or no longer.
func (p *pump) ended(id uint64, reason lockstepv1.WatchEnded_Reason, detail string) {
	p.send(&lockstepv1.WatchFrame{Watch: id, Body: &lockstepv1.WatchFrame_Ended{
		Ended: &lockstepv1.WatchEnded{Reason: reason, Oldest: wire.Position(p.hub.Oldest()), Detail: detail},
	}})
}

package serve

import (
	"sync"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/replica"
	"lockstep/nodes/wire"
)

// pushes knows on which stream each bound session hears of its events: the one
// that bound it last.
type pushes struct {
	mu      sync.Mutex
	streams map[engine.SessionID]*opsStream
}

func (p *pushes) add(id engine.SessionID, o *opsStream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.ended {
		return // an answer that came after the end of its stream
	}
	if old := p.streams[id]; old != nil {
		delete(old.pushed, id)
	}
	p.streams[id] = o
	o.pushed[id] = struct{}{}
}

func (p *pushes) remove(o *opsStream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.ended = true
	for id := range o.pushed {
		delete(p.streams, id)
	}
	clear(o.pushed)
}

// applied sends an entry's events to the sessions that are bound here, one frame
// a session, before the answers that stem from the entry.
func (p *pushes) applied(a *replica.Applied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.streams) == 0 {
		return
	}
	var frames []push
	events := a.Outcome.Events
	for i := range events {
		if !untold(&events[i]) {
			continue
		}
		if o := p.streams[events[i].Session]; o != nil {
			frames = appendPush(frames, o, &events[i])
		}
		if events[i].Kind == engine.EventSessionGone {
			p.forget(events[i].Session)
		}
	}
	for i := range frames {
		f := &frames[i]
		f.stream.send(&lockstepv1.NodeFrame{Body: &lockstepv1.NodeFrame_SessionEvents{SessionEvents: f.events}})
	}
}

func (p *pushes) forget(id engine.SessionID) {
	if o := p.streams[id]; o != nil {
		delete(o.pushed, id)
		delete(p.streams, id)
	}
}

// push is what one session hears of an entry.
type push struct {
	session engine.SessionID
	stream  *opsStream
	events  *lockstepv1.SessionEvents
}

func appendPush(frames []push, o *opsStream, ev *engine.Event) []push {
	for i := range frames {
		if frames[i].session == ev.Session {
			frames[i].events.Events = append(frames[i].events.Events, wire.Event(ev))
			frames[i].events.Through = wire.Position(ev.Position)
			return frames
		}
	}
	return append(frames, push{ev.Session, o, &lockstepv1.SessionEvents{
		Session: uint64(ev.Session), Events: []*lockstepv1.Event{wire.Event(ev)}, Through: wire.Position(ev.Position),
	}})
}

// untold tells whether an event says more than the answer to the request that
// caused it: the effects of a session's own requests are in their answers, and
// sending them twice would double the traffic of every acquire.
func untold(ev *engine.Event) bool {
	switch ev.Kind {
	case engine.EventGranted:
		return ev.Waiter != 0
	case engine.EventGrantEnded:
		return ev.Reason != engine.EndReleased
	case engine.EventWaitEnded:
		return ev.Reason != engine.EndCancelled
	case engine.EventSessionTakenOver, engine.EventSessionLeft, engine.EventSessionJeopardy, engine.EventSessionAlive,
		engine.EventSessionExpired, engine.EventSessionEnded, engine.EventSessionGone:
		return true
	case engine.EventTenureBegan, engine.EventSessionOpened, engine.EventQueued, engine.EventReentered,
		engine.EventLeftOnce, engine.EventClosed, engine.EventReopened:
		return false
	default:
		return false
	}
}

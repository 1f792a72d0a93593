package serve

import (
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/tenure"
	"lockstep/nodes/wire"
)

const (
	// DefaultPage is how many items a page of a listing has.
	DefaultPage = 1000
	// MaxPage is the most a page may have.
	MaxPage = 10_000
	// pageBytes is after about how many bytes a page ends in any case: a lock may
	// have thousands of holders.
	pageBytes = 4 << 20
	// recordBytes is about what a lock, a holder or a waiter takes on the wire,
	// beside paths and labels.
	recordBytes = 96
)

// confirmed calls f once a read may be served: after a confirmation round that
// began after this call, when the engine has applied what was committed by then.
func (s *Server) confirmed(t *tenure.Tenure, f func(err error)) {
	t.Confirm(true, func(readIndex uint64, err error) {
		if err != nil {
			f(err)
			return
		}
		s.replica.WhenReached(readIndex, func() { f(nil) })
	})
}

// linearizable answers a read after a round.
func (o *opsStream) linearizable(t *tenure.Tenure, f *lockstepv1.ClientFrame) {
	o.server.confirmed(t, func(err error) {
		switch {
		case err != nil:
			o.problem(f.GetId(), o.server.problem(err))
		case !t.Valid():
			// The log clock, which remaining holds are counted by, is the tenure's.
			o.problem(f.GetId(), o.server.problem(errTenureOver))
		default:
			go o.answerRead(t, f) // the caller serves others, too
		}
	})
}

func (o *opsStream) answerRead(t *tenure.Tenure, f *lockstepv1.ClientFrame) {
	switch b := f.GetBody().(type) {
	case *lockstepv1.ClientFrame_GetSession:
		o.sessionState(t, f.GetId(), engine.SessionID(b.GetSession.GetSession()))
	case *lockstepv1.ClientFrame_Validate:
		o.validate(t, f.GetId(), b.Validate)
	default:
		o.list(f, &lockstepv1.ReadInfo{Linearizable: true})
	}
}

// remaining is what is left of a hold on the leader's log clock; 0: no hold. A
// hold that has run out, but was not ended yet, has the least there is.
func remaining(until, now engine.LogTime) int64 {
	if until == 0 {
		return 0
	}
	return max(int64(until-now), 1)
}

func (o *opsStream) sessionState(t *tenure.Tenure, id uint64, session engine.SessionID) {
	state := &lockstepv1.SessionState{}
	found := false
	o.server.replica.Read(func(e *engine.Engine) {
		var info engine.SessionInfo
		if info, found = e.Session(session); !found {
			return
		}
		now := t.Now()
		state.Session = wire.Session(&info)
		state.Position = wire.Position(engine.Position{Index: e.Index(), N: ^uint32(0)})
		for _, g := range e.SessionGrants(session) {
			state.Grants = append(state.Grants, &lockstepv1.HeldGrant{Grant: wire.Grant(&g), HoldRemainingNs: remaining(g.Until, now)})
		}
		for _, w := range e.SessionWaiters(session) {
			state.Waiters = append(state.Waiters, wire.Waiter(&w))
		}
		for _, w := range e.SessionEnded(session) {
			state.Ended = append(state.Ended, wire.WaitOutcome(&w))
		}
	})
	if !found {
		o.send(wire.Answer(id, &engine.Refused{
			Reason: engine.ReasonSessionUnknown, Detail: "the session has expired or ended and is gone; open a new one",
		}))
		return
	}
	o.send(&lockstepv1.NodeFrame{Id: id, Body: &lockstepv1.NodeFrame_SessionState{SessionState: state}})
}

func (o *opsStream) validate(t *tenure.Tenure, id uint64, v *lockstepv1.Validate) {
	answer := &lockstepv1.Validated{}
	o.server.replica.Read(func(e *engine.Engine) {
		now := t.Now()
		answer.Position = wire.Position(engine.Position{Index: e.Index(), N: ^uint32(0)})
		g, ok := e.FindGrant(v.GetPath(), engine.SessionID(v.GetSession()), engine.OwnerID(v.GetOwner()))
		if !ok || uint64(g.Token) != v.GetToken() {
			return
		}
		answer.Held, answer.Grant, answer.HoldRemainingNs = true, wire.Grant(&g), remaining(g.Until, now)
	})
	o.send(&lockstepv1.NodeFrame{Id: id, Body: &lockstepv1.NodeFrame_Validated{Validated: answer}})
}

// list answers a listing from a view, so that it holds nobody up.
func (o *opsStream) list(f *lockstepv1.ClientFrame, info *lockstepv1.ReadInfo) {
	view := o.server.replica.View()
	info.Node = o.server.id.Node
	info.Position = wire.Position(engine.Position{Index: view.Index(), N: ^uint32(0)})
	answer := &lockstepv1.NodeFrame{Id: f.GetId()}
	switch b := f.GetBody().(type) {
	case *lockstepv1.ClientFrame_ListLocks:
		answer.Body = &lockstepv1.NodeFrame_LockList{LockList: locks(view, b.ListLocks, info)}
	case *lockstepv1.ClientFrame_ListSessions:
		answer.Body = &lockstepv1.NodeFrame_SessionList{SessionList: sessions(view, b.ListSessions, info)}
	case *lockstepv1.ClientFrame_ListWaiters:
		answer.Body = &lockstepv1.NodeFrame_WaiterList{WaiterList: waiters(view, b.ListWaiters, info)}
	default:
		answer.Body = &lockstepv1.NodeFrame_Problem{Problem: invalid("not a listing")}
	}
	o.send(answer)
}

// page is how much more may go into a page of a listing.
type page struct{ items, bytes int }

func newPage(limit uint32) page {
	if limit == 0 {
		limit = DefaultPage
	}
	return page{items: int(min(limit, MaxPage)), bytes: pageBytes}
}

// takes tells whether there is room for an item of so many records and so many
// bytes beside them; the first item always fits.
func (p *page) takes(records, bytes int) bool {
	if p.items <= 0 || p.bytes <= 0 {
		return false
	}
	p.items--
	p.bytes -= records*recordBytes + bytes
	return true
}

func locks(v *engine.View, q *lockstepv1.ListLocks, info *lockstepv1.ReadInfo) *lockstepv1.LockList {
	out := &lockstepv1.LockList{Info: info}
	page := newPage(q.GetLimit())
	for l := range v.Locks(prefix(q.GetPrefix()), q.GetAfter()) {
		records := 1 + len(l.Holders) + len(l.Closures)
		if !page.takes(records, records*len(l.Path)) {
			out.More = true
			break
		}
		out.Locks = append(out.Locks, wire.Lock(&l, v.Time()))
	}
	return out
}

func sessions(v *engine.View, q *lockstepv1.ListSessions, info *lockstepv1.ReadInfo) *lockstepv1.SessionList {
	out := &lockstepv1.SessionList{Info: info}
	page := newPage(q.GetLimit())
	for s := range v.Sessions(engine.SessionID(q.GetAfter())) {
		if !page.takes(1, len(s.Principal)+len(s.Label)) {
			out.More = true
			break
		}
		out.Sessions = append(out.Sessions, wire.Session(&s))
	}
	return out
}

func waiters(v *engine.View, q *lockstepv1.ListWaiters, info *lockstepv1.ReadInfo) *lockstepv1.WaiterList {
	out := &lockstepv1.WaiterList{Info: info}
	page := newPage(q.GetLimit())
	for w := range v.Waiters(prefix(q.GetPrefix()), q.GetAfterPath(), engine.WaiterID(q.GetAfterWaiter())) {
		if !page.takes(1, len(w.Path)) {
			out.More = true
			break
		}
		out.Waiters = append(out.Waiters, wire.Waiter(&w))
	}
	return out
}

// prefix takes nothing for everything.
func prefix(p string) string {
	if p == "" {
		return "/"
	}
	return p
}

// staleness is the bound of a read that allows stale answers.
func staleness(f *lockstepv1.ClientFrame) (time.Duration, bool) {
	var c *lockstepv1.Consistency
	switch b := f.GetBody().(type) {
	case *lockstepv1.ClientFrame_ListLocks:
		c = b.ListLocks.GetConsistency()
	case *lockstepv1.ClientFrame_ListSessions:
		c = b.ListSessions.GetConsistency()
	case *lockstepv1.ClientFrame_ListWaiters:
		c = b.ListWaiters.GetConsistency()
	default:
		return 0, false
	}
	if c == nil || c.StaleNs == nil {
		return 0, false
	}
	return time.Duration(c.GetStaleNs()), true
}

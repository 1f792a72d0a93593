package engine

// appendHeader appends all of the state that is in no session and no lock.
func appendHeader(dst []byte, st *state) []byte {
	dst = appendUint(dst, st.lineage)
	dst = appendUint(dst, st.index)
	dst = appendUint(dst, st.term)
	dst = appendUint(dst, uint64(st.time))
	for _, limit := range st.limits.all() {
		dst = appendUint(dst, uint64(*limit))
	}
	dst = appendString(dst, st.tenure.Node)
	dst = appendUint(dst, st.tenure.Term)
	dst = appendUint(dst, uint64(st.tenure.Began))
	dst = appendUint(dst, st.tenures.seen)
	for _, began := range st.tenures.began {
		dst = appendUint(dst, uint64(began))
	}
	dst = appendUint(dst, uint64(st.lastSession))
	dst = appendUint(dst, uint64(st.lastWaiter))
	dst = appendUint(dst, uint64(st.lastToken))
	dst = appendUint(dst, uint64(st.sessions.Len()))
	return appendUint(dst, uint64(st.locks.Len()))
}

func appendSession(dst []byte, s *session) []byte {
	dst = appendUint(dst, uint64(s.id))
	dst = appendUint(dst, uint64(s.incarnation))
	dst = append(dst, byte(s.state))
	dst = appendBool(dst, s.ended)
	dst = appendBool(dst, s.left)
	dst = append(dst, s.secretHash[:]...)
	dst = appendString(dst, s.principal)
	dst = appendString(dst, s.label)
	dst = appendUint(dst, uint64(s.ttl))
	dst = appendUint(dst, uint64(s.grace))
	dst = appendUint(dst, uint64(s.silence))
	dst = appendPosition(dst, s.opened)
	dst = appendUint(dst, uint64(s.openedTime))
	dst = appendPosition(dst, s.grantsChanged)
	dst = appendBool(dst, s.embargoed)
	dst = appendUint(dst, uint64(s.embargoFrom))
	dst = appendUint(dst, uint64(len(s.takeOvers)))
	for _, t := range s.takeOvers {
		dst = appendUint(dst, t.nonce)
		dst = appendUint(dst, uint64(t.incarnation))
		dst = appendPosition(dst, t.position)
		dst = appendUint(dst, t.lastSequence)
	}
	dst = appendUint(dst, s.lastSequence)
	dst = appendUint(dst, s.ackedThrough)
	dst = appendUint(dst, uint64(len(s.replies)))
	for i := range s.replies {
		dst = appendUint(dst, s.replies[i].sequence)
		dst = appendUint(dst, s.replies[i].imprint)
		dst = appendKept(dst, s.replies[i].result)
	}
	dst = appendUint(dst, uint64(len(s.endedWaits)))
	for i := range s.endedWaits {
		o := &s.endedWaits[i]
		dst = appendUint(dst, uint64(o.Waiter))
		dst = appendUint(dst, o.Sequence)
		dst = appendUint(dst, uint64(o.Token))
		dst = append(dst, byte(o.Reason))
		dst = appendPosition(dst, o.Position)
	}
	return dst
}

// keptKind numbers the answers that are kept for retries.
type keptKind uint8

const (
	keptDone      keptKind = 1
	keptGranted   keptKind = 2
	keptQueued    keptKind = 3
	keptReleased  keptKind = 4
	keptCancelled keptKind = 5
	keptRefused   keptKind = 6
)

// appendKept appends an answer. A refusal's sentence is left out: it follows from
// the rest.
func appendKept(dst []byte, result Result) []byte {
	switch a := result.(type) {
	case *Done:
		return appendPosition(append(dst, byte(keptDone)), a.Position)
	case *Granted:
		dst = appendGrant(append(dst, byte(keptGranted)), &a.Grant)
		dst = appendUint(dst, uint64(a.HoldRemaining))
		return appendPosition(dst, a.Position)
	case *Queued:
		dst = appendUint(append(dst, byte(keptQueued)), uint64(a.Waiter))
		dst = appendUint(dst, uint64(a.Ahead))
		return appendPosition(dst, a.Position)
	case *Released:
		dst = appendUint(append(dst, byte(keptReleased)), uint64(a.Remaining))
		return appendPosition(dst, a.Position)
	case *Cancelled:
		dst = append(dst, byte(keptCancelled), byte(a.Outcome))
		dst = appendGrant(dst, &a.Grant)
		dst = appendUint(dst, uint64(a.HoldRemaining))
		return appendPosition(dst, a.Position)
	case *Refused:
		dst = append(dst, byte(keptRefused), byte(a.Reason))
		dst = appendGrant(dst, &a.Holder)
		dst = appendString(dst, a.Limit)
		dst = appendUint(dst, uint64(a.RetryAfter))
		return appendPosition(dst, a.Position)
	case *OfficeTaken, *Opened, *TakenOver:
		bug("answer %T is never kept", a)
	}
	return dst
}

// appendGrant appends a grant as an answer carries it; the zero Grant is one byte.
func appendGrant(dst []byte, g *Grant) []byte {
	dst = appendString(dst, g.Path)
	if g.Path == "" {
		return dst
	}
	dst = appendUint(dst, uint64(g.Session))
	dst = appendUint(dst, uint64(g.Owner))
	dst = append(dst, byte(g.Mode))
	dst = appendUint(dst, uint64(g.Token))
	dst = appendUint(dst, uint64(g.Floor))
	dst = appendUint(dst, uint64(g.Count))
	dst = appendPosition(dst, g.Since)
	dst = appendUint(dst, uint64(g.SinceTime))
	dst = appendUint(dst, uint64(g.Waiter))
	return appendUint(dst, uint64(g.Until))
}

func appendLock(dst []byte, l *lock) []byte {
	dst = appendString(dst, l.path)
	dst = appendUint(dst, uint64(l.base))
	for _, last := range l.last {
		dst = appendUint(dst, uint64(last))
	}
	dst = appendUint(dst, uint64(len(l.holders)))
	for i := range l.holders {
		dst = appendHolder(dst, &l.holders[i])
	}
	if l.line == nil {
		return append(dst, 0, 0)
	}
	dst = appendUint(dst, uint64(l.line.waiters.Len()))
	for _, w := range l.line.waiters.All() {
		dst = appendWaiter(dst, w)
	}
	dst = appendUint(dst, uint64(len(l.line.closures)))
	for i := range l.line.closures {
		c := &l.line.closures[i]
		dst = append(dst, byte(c.Mode))
		dst = appendUint(dst, uint64(c.Token))
		dst = appendUint(dst, uint64(c.Until))
		dst = appendPosition(dst, c.since)
	}
	return dst
}

func appendHolder(dst []byte, g *grant) []byte {
	dst = appendUint(dst, uint64(g.session))
	dst = appendUint(dst, uint64(g.owner))
	dst = appendUint(dst, uint64(g.token))
	dst = appendUint(dst, uint64(g.floor))
	dst = appendPosition(dst, g.since)
	dst = appendUint(dst, uint64(g.sinceTime))
	dst = appendUint(dst, uint64(g.waiter))
	dst = appendUint(dst, uint64(g.until))
	dst = appendUint(dst, uint64(g.delay))
	dst = append(dst, byte(g.mode))
	dst = appendUint(dst, uint64(g.count))
	return appendUint(dst, uint64(g.incarnation))
}

// appendWaiter appends a waiter as its lock holds it: without the path.
func appendWaiter(dst []byte, w *waiter) []byte {
	dst = appendUint(dst, uint64(w.id))
	dst = appendInt(dst, w.key.Rank)
	dst = appendUint(dst, uint64(w.session))
	dst = appendUint(dst, uint64(w.incarnation))
	dst = appendUint(dst, uint64(w.owner))
	dst = append(dst, byte(w.mode))
	dst = appendUint(dst, w.sequence)
	dst = appendPosition(dst, w.since)
	dst = appendUint(dst, uint64(w.sinceTime))
	dst = appendUint(dst, uint64(w.deadline))
	dst = appendUint(dst, uint64(w.hold))
	return appendUint(dst, uint64(w.delay))
}

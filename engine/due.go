package engine

import "cmp"

// dueKey orders deadlines by time, then by the position of what they end.
// Positions differ, so keys do.
type dueKey struct {
	at    LogTime
	since Position
}

func (k dueKey) compare(l dueKey) int {
	if c := cmp.Compare(k.at, l.at); c != 0 {
		return c
	}
	return k.since.Compare(l.since)
}

// dueKind is what a deadline ends.
type dueKind uint8

const (
	// dueWait ends a wait: waiter.
	dueWait dueKind = 1
	// dueHold ends a timed hold: path, token.
	dueHold dueKind = 2
	// dueClosure ends a lock-delay: path, token.
	dueClosure dueKind = 3
)

type dueItem struct {
	kind   dueKind
	path   string
	token  Token
	waiter *waiter
}

// fireDue ends what has run out, in the order of the deadlines.
func (e *Engine) fireDue() {
	for range e.limits.DuePerEntry {
		key, item, found := e.due.Min()
		if !found || key.at > e.time {
			return
		}
		switch item.kind {
		case dueWait:
			e.endWait(item.waiter, EndWaitTimedOut)
		case dueHold:
			e.endGrant(item.path, item.token, EndHoldEnded)
		case dueClosure:
			e.reopen(item.path, item.token)
		}
	}
}

// NextDue is the earliest deadline that is pending; work that is left over from
// an earlier entry is due now. It reports false when there is nothing to wait for.
func (e *Engine) NextDue() (LogTime, bool) {
	if e.ending.Len() > 0 {
		return e.time, true
	}
	key, _, found := e.due.Min()
	return key.at, found
}

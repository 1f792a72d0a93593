package engine

import (
	"lockstep/engine/fingerprint"
	"lockstep/engine/mode"
)

// modesCounted: the modes that decide about grants are those of the holders and
// closures.
func modesCounted(_ *Engine, l *lock) error {
	var held, closed mode.Counts
	for i := range l.holders {
		held.Add(l.holders[i].mode)
	}
	if held != l.held {
		return violated("modes held are counted %v, are %v", l.held, held)
	}
	if l.line == nil {
		return nil
	}
	for i := range l.line.closures {
		closed.Add(l.line.closures[i].Mode)
	}
	if closed != l.line.closed {
		return violated("modes closed are counted %v, are %v", l.line.closed, closed)
	}
	return nil
}

// deadlinesIndexed: every deadline will fire.
func deadlinesIndexed(e *Engine, l *lock) error {
	for i := range l.holders {
		g := &l.holders[i]
		if g.until == 0 {
			continue
		}
		if item, found := e.due.Get(dueKey{g.until, g.since}); !found || item.kind != dueHold || item.token != g.token || item.path != l.path {
			return violated("the hold of token %d is not indexed", g.token)
		}
	}
	if l.line == nil {
		return nil
	}
	for _, w := range l.line.waiters.All() {
		if w.deadline == 0 {
			continue
		}
		if item, found := e.due.Get(dueKey{w.deadline, w.since}); !found || item.waiter != w {
			return violated("the deadline of waiter %d is not indexed", w.id)
		}
	}
	for i := range l.line.closures {
		c := &l.line.closures[i]
		if item, found := e.due.Get(dueKey{c.Until, c.since}); !found || item.kind != dueClosure || item.token != c.Token {
			return violated("the closure of token %d is not indexed", c.Token)
		}
	}
	return nil
}

// deadlines counts a lock's deadlines.
func (l *lock) deadlines() int {
	n := 0
	for i := range l.holders {
		if l.holders[i].until != 0 {
			n++
		}
	}
	if l.line == nil {
		return n
	}
	for _, w := range l.line.waiters.All() {
		if w.deadline != 0 {
			n++
		}
	}
	return n + len(l.line.closures)
}

// indexesMatchTheState: what Restore would build is what is there.
func indexesMatchTheState(e *Engine) error {
	var grants, waiters uint64
	deadlines, ending := 0, 0
	for _, l := range e.locks.All() {
		grants += uint64(len(l.holders))
		deadlines += l.deadlines()
		if l.line != nil {
			waiters += uint64(l.line.waiters.Len())
		}
	}
	for _, s := range e.sessions.All() {
		if s.state == SessionExpired {
			ending++
		}
		if e.bySecret[s.secretHash] != s.id {
			return violated("session %d is not found by its secret", s.id)
		}
	}
	if grants != e.grants || waiters != e.waiters || deadlines != e.due.Len() ||
		ending != e.ending.Len() || len(e.bySecret) != e.sessions.Len() {
		return violated("grants %d/%d, waiters %d/%d, deadlines %d/%d, ending sessions %d/%d, secrets %d/%d",
			grants, e.grants, waiters, e.waiters, deadlines, e.due.Len(),
			ending, e.ending.Len(), e.sessions.Len(), len(e.bySecret))
	}
	return nil
}

// digestIsTheSum: the digest kept while things change is the one made from scratch.
func digestIsTheSum(e *Engine) error {
	var buf []byte
	buf = appendHeader(buf[:0], &e.state)
	sum := fingerprint.Of(seedHeader, buf)
	for _, s := range e.sessions.All() {
		buf = appendSession(buf[:0], s)
		sum += fingerprint.Of(seedSession, buf)
	}
	for _, l := range e.locks.All() {
		buf = appendLock(buf[:0], l)
		sum += fingerprint.Of(seedLock, buf)
	}
	if kept := e.Digest(); kept != sum {
		return violated("kept %016x, made %016x", kept, sum)
	}
	return nil
}

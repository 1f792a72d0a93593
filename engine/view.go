package engine

import (
	"iter"
	"strings"
)

// View is the state as it was when the engine was asked. It never changes, and
// any number of goroutines may use it while the engine goes on.
type View struct {
	state
}

// View returns the present state in O(1). What the engine changes from now on it
// copies first, each record and tree node once; so views cost when they are many.
func (e *Engine) View() *View {
	e.epoch++
	return &View{state: e.state}
}

// Index is that of the last entry.
func (v *View) Index() uint64 { return v.index }

// Term is that of the last entry.
func (v *View) Term() uint64 { return v.term }

// Time is the log time.
func (v *View) Time() LogTime { return v.time }

// Lineage is that of the state.
func (v *View) Lineage() uint64 { return v.lineage }

// Counts says how much there is.
func (v *View) Counts() Counts { return v.counts() }

// Locks yields the locks at prefix and below it, by path, from the first one
// after the path after. "" and "/" are the prefix of everything.
func (v *View) Locks(prefix, after string) iter.Seq[LockInfo] {
	return func(yield func(LockInfo) bool) {
		for _, l := range v.below(prefix, after) {
			if l.path != after && !yield(l.info()) {
				return
			}
		}
	}
}

// below yields the locks at prefix and below it, from the path from on. In the
// order of bytes other paths stand between a path and those below it ("/a-b"
// between "/a" and "/a/b"); they are jumped over.
func (v *View) below(prefix, from string) iter.Seq2[string, *lock] {
	prefix = strings.TrimSuffix(prefix, "/")
	return func(yield func(string, *lock) bool) {
		if l, found := v.locks.Get(prefix); found && prefix >= from && !yield(prefix, l) {
			return
		}
		for path, l := range v.locks.From(max(prefix+"/", from)) {
			if !within(path, prefix) || !yield(path, l) {
				return
			}
		}
	}
}

// Sessions yields the sessions with larger ids than after.
func (v *View) Sessions(after SessionID) iter.Seq[SessionInfo] {
	return func(yield func(SessionInfo) bool) {
		if after == ^SessionID(0) {
			return
		}
		for _, s := range v.sessions.From(after + 1) {
			if !yield(s.info()) {
				return
			}
		}
	}
}

// Waiters yields who waits for the locks at prefix and below it, by path and then
// in the order of the queue, from the first one after waiter afterWaiter of
// afterPath. When that one waits no more, it goes on with the next path: a waiter
// may be left out of a listing then, but none comes twice.
func (v *View) Waiters(prefix, afterPath string, afterWaiter WaiterID) iter.Seq[Waiter] {
	return func(yield func(Waiter) bool) {
		for path, l := range v.below(prefix, afterPath) {
			if l.line == nil {
				continue
			}
			skip := path == afterPath
			ahead := 0
			for _, w := range l.line.waiters.All() {
				if !skip && !yield(w.info(ahead)) {
					return
				}
				if skip && w.id == afterWaiter {
					skip = false
				}
				ahead++
			}
		}
	}
}

package queue

import (
	"iter"

	"lockstep/engine/cow"
	"lockstep/engine/mode"
)

// Line is the queue of one lock. It is a value: a copy of it stands still while
// the original is changed with higher epochs (see cow.Tree).
type Line[W any] struct {
	tree  cow.Tree[Key, place[W]]
	modes mode.Counts
}

type place[W any] struct {
	mode    mode.Mode
	request W
}

// New returns an empty line.
func New[W any]() Line[W] { return Line[W]{tree: cow.New[Key, place[W]](Key.Compare)} }

// Len is how many requests stand in the line.
func (l *Line[W]) Len() int { return l.tree.Len() }

// Enter queues a request under a key that is not taken.
func (l *Line[W]) Enter(epoch uint64, k Key, m mode.Mode, request W) {
	l.tree.Insert(epoch, k, place[W]{m, request})
	l.modes.Add(m)
}

// Leave removes the request with a key that is taken.
func (l *Line[W]) Leave(epoch uint64, k Key) {
	p, _ := l.tree.Get(k)
	l.tree.Delete(epoch, k)
	l.modes.Remove(p.mode)
}

// Ahead is how many requests stand before a key.
func (l *Line[W]) Ahead(k Key) int { return l.tree.Rank(k) }

// ModesAhead holds the modes of the requests before a key.
func (l *Line[W]) ModesAhead(k Key) mode.Set {
	if last, _, found := l.tree.Max(); !found || last.Compare(k) < 0 {
		return l.modes.Set() // at the end, where every FIFO request arrives
	}
	var ahead mode.Set
	for other, p := range l.tree.All() {
		if other.Compare(k) >= 0 {
			break
		}
		ahead = ahead.With(p.mode)
	}
	return ahead
}

// All yields the requests in order.
func (l *Line[W]) All() iter.Seq2[Key, W] {
	return func(yield func(Key, W) bool) {
		for k, p := range l.tree.All() {
			if !yield(k, p.request) {
				return
			}
		}
	}
}

// Admit decides a grant, and nothing else does: a request in mode m may be
// granted if it gets on with everything that is granted or closed, and with
// every request that stands before it.
func Admit(m mode.Mode, granted, ahead mode.Set) bool {
	return mode.CompatibleWithAll(m, granted|ahead)
}

// Grantable appends to dst the keys of the requests that can be granted now, all
// together, in order. A request for which fit is false is never granted, but
// keeps its place until it has been removed.
func (l *Line[W]) Grantable(dst []Key, granted mode.Set, fit func(W) bool) []Key {
	var ahead mode.Set
	for k, p := range l.tree.All() {
		if Admit(p.mode, granted, ahead) && fit(p.request) {
			dst = append(dst, k)
			granted = granted.With(p.mode)
			continue
		}
		if ahead = ahead.With(p.mode); mode.BlocksAll(granted | ahead) {
			break
		}
	}
	return dst
}

// Get returns the request with a key.
func (l *Line[W]) Get(k Key) (W, bool) {
	p, found := l.tree.Get(k)
	return p.request, found
}

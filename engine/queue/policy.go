package queue

import "cmp"

// Key is a request's place in every queue it stands in; smaller goes first. It is
// made once, when the request is queued.
type Key struct {
	Rank int64
	// Waiter makes keys unique and breaks ties in the order of the log.
	Waiter uint64
}

// Compare orders keys.
func (k Key) Compare(l Key) int {
	if c := cmp.Compare(k.Rank, l.Rank); c != 0 {
		return c
	}
	return cmp.Compare(k.Waiter, l.Waiter)
}

// Arrival is what a policy may look at.
type Arrival struct {
	// Index is the log index of the request's entry.
	Index uint64
	// Waiter rises with every request that is queued.
	Waiter uint64
}

// Policy makes a request's key.
type Policy func(Arrival) Key

// FIFO orders requests as the log does.
func FIFO(a Arrival) Key { return Key{Rank: int64(a.Index), Waiter: a.Waiter} }

var _ Policy = FIFO

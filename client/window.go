package client

import "math/bits"

// window hands out the sequences of a session's mutating requests and keeps how
// far they have been acknowledged: the largest n such that the answers to all
// sequences up to n, or to their cancellations, have arrived.
type window struct {
	acked uint64
	last  uint64
	// answered has bit i set when the answer to acked+1+i has arrived.
	answered uint64
}

// newWindow continues after the sequences that earlier incarnations used.
func newWindow(used uint64) window { return window{acked: used, last: used} }

// take returns the next sequence, or false while MaxOutstanding are unanswered
// from the oldest on.
func (w *window) take() (uint64, bool) {
	if !w.room() {
		return 0, false
	}
	w.last++
	return w.last, true
}

// room tells whether there is a sequence to take.
func (w *window) room() bool { return w.last-w.acked < MaxOutstanding }

// answer notes that the answer to a sequence has arrived; again is harmless.
func (w *window) answer(sequence uint64) {
	if sequence <= w.acked || sequence > w.last {
		return
	}
	w.answered |= 1 << (sequence - w.acked - 1)
	n := bits.TrailingZeros64(^w.answered)
	w.acked += uint64(n)
	w.answered >>= n
}

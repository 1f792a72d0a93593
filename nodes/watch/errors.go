package watch

import (
	"errors"

	"lockstep/engine"
)

// ErrGap is returned by reads from a place that the history passed while it was
// being read: the reader is too slow.
var ErrGap = errors.New("watch: the events asked for are no longer kept")

// HistoryGoneError is returned for a resume point before the oldest kept event.
type HistoryGoneError struct {
	// Oldest is the oldest position that can be resumed after.
	Oldest engine.Position
}

// Error names the oldest position.
func (e *HistoryGoneError) Error() string {
	return "watch: events are only kept after " + e.Oldest.String() + ": start over with a listing"
}

package raftwire

import (
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// transfers finds the leadership-transfer flag that got stuck (rule U3): Raft
// sets it at the begin of a transfer and may never take it back, even over a new
// election; then this leader refuses every proposal, for ever, while it keeps all
// others from leading. Only a restart helps.
type transfers struct {
	clock clockwork.Clock
	bound time.Duration
	guard *guard

	mu sync.Mutex
	// first and last are the instants of refusals since the last proposal that was
	// not refused for this reason; zero if there was none.
	first, last time.Time
}

// note takes the fate of a proposal: refused because of a transfer, or not.
func (t *transfers) note(refused bool) {
	if t.stuck(refused) {
		t.guard.fatal("proposals have been refused for %v because of a leadership transfer that does not end; "+
			"nothing was accepted, the restart clears it", t.bound)
	}
}

func (t *transfers) stuck(refused bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !refused {
		t.first, t.last = time.Time{}, time.Time{}
		return false
	}
	now := t.clock.Now()
	// After a pause it may be another transfer.
	if t.first.IsZero() || now.Sub(t.last) > transferGap {
		t.first = now
	}
	t.last = now
	return now.Sub(t.first) > t.bound
}

package peers

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// refusals counts refused streams and logs them, but never more often than once
// in refusalLogPause: whoever is refused may try as often as he likes.
type refusals struct {
	clock  clockwork.Clock
	logger *slog.Logger

	mu     sync.Mutex
	counts map[lockstepv1.Code]uint64
	// unlogged counts refusals since the last log line, at instant logged.
	unlogged int
	logged   time.Time
}

func (r *refusals) note(peer transport.Peer, hello *lockstepv1.Hello, problem *lockstepv1.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[problem.GetCode()]++
	r.unlogged++
	now := r.clock.Now()
	if !r.logged.IsZero() && now.Sub(r.logged) < refusalLogPause {
		return
	}
	r.logger.Warn("refused a stream",
		"peer", peer.Principal, "address", peer.Address, "agent", hello.GetAgent(),
		"kind", hello.GetKind().String(), "code", problem.GetCode().String(), "problem", problem.GetDetail(),
		"refused", r.unlogged)
	r.unlogged, r.logged = 0, now
}

func (r *refusals) snapshot() map[lockstepv1.Code]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

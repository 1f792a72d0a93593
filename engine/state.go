package engine

import (
	"cmp"
	"strings"

	"lockstep/engine/cow"
	"lockstep/engine/lease"
)

// state is all that is replicated. A copy of it is a View, provided that the
// engine's epoch rises: see record.
type state struct {
	lineage uint64
	limits  Limits

	// index and term are those of the last entry.
	index uint64
	term  uint64
	time  LogTime

	tenure  Tenure
	tenures tenures

	// What was given out last; the next is one more. Nothing is ever reused.
	lastSession SessionID
	lastWaiter  WaiterID
	lastToken   Token

	// Totals over all locks; not encoded, since they follow from the locks.
	grants  uint64
	waiters uint64

	sessions cow.Tree[SessionID, *session]
	locks    cow.Tree[string, *lock]
}

func newState(lineage uint64, limits Limits) state {
	return state{
		lineage:  lineage,
		limits:   limits,
		sessions: cow.New[SessionID, *session](cmp.Compare[SessionID]),
		locks:    cow.New[string, *lock](strings.Compare),
	}
}

// counts implements Engine.Counts and View.Counts.
func (st *state) counts() Counts {
	return Counts{
		Sessions: uint64(st.sessions.Len()),
		Locks:    uint64(st.locks.Len()),
		Grants:   st.grants,
		Waiters:  st.waiters,
	}
}

// record is the head of what the trees hold. A record is changed in place only in
// the epoch that made or copied it: a View raises the engine's epoch, so what a
// view can see is never written again, but for sum and dirty, which no view reads.
type record struct {
	epoch uint64
	// sum is the record's share in the digest; valid while dirty is 0.
	sum uint64
	// dirty is one more than the record's place in the list of those whose share
	// has been taken out of the digest; 0: it is not in the list.
	dirty uint32
}

// tenures remembers when the last tenures began, for embargoes.
type tenures struct {
	// began is ascending; the first seen of them are set.
	began [TenuresKept]LogTime
	seen  uint64
}

func (t *tenures) add(began LogTime) {
	if t.seen < TenuresKept {
		t.began[t.seen] = began
	} else {
		copy(t.began[:], t.began[1:])
		t.began[TenuresKept-1] = began
	}
	t.seen++
}

// embargo is when an embargo that a take-over at from began will have ended.
func (t *tenures) embargo(s *session) LogTime {
	known := min(t.seen, TenuresKept)
	return lease.Embargo(s.embargoFrom, s.ttl, t.began[:known], t.seen == known)
}

package engine

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/engine/mode"
	"lockstep/engine/queue"
)

// Checkers can fail: each invariant has planted bugs that it catches.
func TestInvariantsCatchPlantedBugs(t *testing.T) {
	get := func(e *Engine, path string) *lock {
		l, _ := e.locks.Get(path)
		return e.touchLock(l)
	}
	of := func(e *Engine, id SessionID) *session {
		s, _ := e.sessions.Get(id)
		return e.touchSession(s)
	}
	add := func(e *Engine, path string, id SessionID, m Mode) {
		e.give(of(e, id), get(e, path), asked{owner: 77, mode: m, incarnation: 1})
	}
	firstWaiter := func(l *lock) *waiter {
		for _, w := range l.line.waiters.All() {
			return w
		}
		return nil
	}
	tried := map[string]bool{}
	// In lived: session 1 has ended and is half freed; 2 waits for /a and /c;
	// 3 holds /b and has closed /c.
	for _, c := range []struct {
		invariant, name string
		plant           func(e *Engine)
	}{
		{"HoldersCompatible", "a second writer", func(e *Engine) { add(e, "/b", 2, Exclusive) }},
		{"HoldersCompatible", "a holder beside a closure", func(e *Engine) { add(e, "/c", 2, Exclusive) }},
		{"TokensStrictlyIncrease", "a token again", func(e *Engine) { e.lastToken = 1; add(e, "/b", 2, Shared) }},
		{"TokensStrictlyIncrease", "the counter went back", func(e *Engine) { e.lastToken = 2 }},
		{"TokensStrictlyIncrease", "a token of a mode to come", func(e *Engine) { get(e, "/b").last[0] = get(e, "/b").base + 1 }},
		{"TokensStrictlyIncrease", "a base from the future", func(e *Engine) {
			l := get(e, "/c")
			l.base, l.last = e.lastToken+1, [mode.Last]Token{}
		}},
		{"FloorsCoverTheIncompatible", "a floor at the token", func(e *Engine) { get(e, "/b").holders[0].floor = get(e, "/b").holders[0].token }},
		{"FloorsCoverTheIncompatible", "a grant that the record has not seen", func(e *Engine) { get(e, "/b").last[Shared-1] = get(e, "/b").base + 1; get(e, "/b").holders[0].token++ }},
		{"FloorsCoverTheIncompatible", "a floor too low", func(e *Engine) {
			l := get(e, "/b")
			l.holders[0].floor = 0
			l.base = 0
			l.last[Exclusive-1] = l.holders[0].token - 1
		}},
		{"OwnersHoldOnce", "twice the same owner", func(e *Engine) { add(e, "/b", 3, Shared); get(e, "/b").holders[1].owner = 1 }},
		{"OwnersHoldOnce", "nothing to release", func(e *Engine) { get(e, "/b").holders[0].count = 0 }},
		{"OwnersHoldOnce", "an owner waits twice", func(e *Engine) {
			l := get(e, "/a")
			l.closeForTest(e)
			again := *firstWaiter(get(e, "/a"))
			again.id = e.lastWaiter + 1
			e.lastWaiter++
			again.key.Waiter = uint64(again.id)
			again.since.N += 50
			l.line.waiters.Enter(e.epoch, again.key, again.mode, &again)
			e.indexWaiter(of(e, 2), &again)
		}},
		{"NoOvertaking", "a reader before the writer that waited", func(e *Engine) {
			l := get(e, "/c")
			l.line.closures, l.line.closed = nil, mode.Counts{}
			e.events = make([]Event, 99)
			add(e, "/c", 3, Shared)
		}},
		{"NoOvertaking", "a later waiter was granted first", func(e *Engine) {
			l := get(e, "/c")
			l.line.closures, l.line.closed = nil, mode.Counts{}
			e.lastWaiter++
			e.give(of(e, 3), l, asked{owner: 5, mode: Shared, incarnation: 1, waiter: &waiter{id: e.lastWaiter}})
			of(e, 3).endedWaits = nil
		}},
		{"NoWaiterForgotten", "nobody woke the waiter", func(e *Engine) {
			get(e, "/c").line.closures, get(e, "/c").line.closed = nil, mode.Counts{}
		}},
		{"NoIdleRecords", "a record of nothing", func(e *Engine) { e.makeLock("/idle") }},
		{"LocksOfTheLiving", "a grant of nobody", func(e *Engine) { get(e, "/b").holders[0].session = 99 }},
		{"LocksOfTheLiving", "a hold that ended before it began", func(e *Engine) { get(e, "/b").holders[0].until = 1; get(e, "/b").holders[0].sinceTime = 2 }},
		{"LocksOfTheLiving", "a waiter of a later incarnation", func(e *Engine) { firstWaiter(get(e, "/c")).incarnation = 9 }},
		{"LocksOfTheLiving", "a waiter to come", func(e *Engine) { e.lastWaiter = 0 }},
		{"SessionsOwnWhatTheyHold", "a grant that the session does not know", func(e *Engine) { of(e, 3).grants++ }},
		{"SessionsOwnWhatTheyHold", "a grant on a free lock", func(e *Engine) { of(e, 3).own.grants.Insert(0, 99, "/nowhere"); of(e, 3).grants++ }},
		{"SessionsOwnWhatTheyHold", "a grant that the lock does not know", func(e *Engine) { of(e, 3).own.grants.Insert(0, 99, "/b"); of(e, 3).grants++ }},
		{"SessionsOwnWhatTheyHold", "a waiter nowhere", func(e *Engine) { of(e, 3).own.waits.Insert(0, 99, &waiter{path: "/b"}); of(e, 3).waiters++ }},
		{"SessionsOwnWhatTheyHold", "a waiter that the lock does not know", func(e *Engine) {
			of(e, 3).own.waits.Insert(0, 99, &waiter{path: "/c", key: queue.Key{Rank: 9}})
			of(e, 3).waiters++
		}},
		{"RepliesInWindow", "an answer that was acknowledged", func(e *Engine) { of(e, 2).ackedThrough = 2 }},
		{"RepliesInWindow", "a sequence beyond the last", func(e *Engine) { of(e, 3).replies = nil; of(e, 3).lastSequence = MaxSequence + 1 }},
		{"OutcomesInOrder", "an outcome of nothing", func(e *Engine) { of(e, 2).endedWaits[0].Reason = 0 }},
		{"SessionsWellFormed", "a session to come", func(e *Engine) { e.lastSession = 1 }},
		{"SessionsWellFormed", "more silence than TTL", func(e *Engine) { of(e, 2).silence = MaxTTL }},
		{"SessionsWellFormed", "silence without jeopardy", func(e *Engine) { of(e, 3).silence = 1 }},
		{"SessionsWellFormed", "no state", func(e *Engine) { of(e, 3).state = 9 }},
		{"SessionsWellFormed", "a take-over that never was", func(e *Engine) { of(e, 3).takeOvers = []takeOver{{nonce: 1, incarnation: 1}} }},
		{"SessionsWellFormed", "an incarnation without take-over", func(e *Engine) { of(e, 3).incarnation = 2 }},
		{"NothingFromTheFuture", "a grant", func(e *Engine) { get(e, "/b").holders[0].sinceTime = MaxLogTime }},
		{"NothingFromTheFuture", "a waiter", func(e *Engine) { firstWaiter(get(e, "/c")).since.Index = 1 << 50 }},
		{"NothingFromTheFuture", "a closure", func(e *Engine) { get(e, "/c").line.closures[0].Token = 1 << 50 }},
		{"NothingFromTheFuture", "a session", func(e *Engine) { of(e, 3).opened.Index = 1 << 50 }},
		{"WithinLimits", "requests", func(e *Engine) { e.limits.RequestsPerLock = 1 }},
		{"WithinLimits", "possessions", func(e *Engine) { e.limits.PossessionsPerSession = 0 }},
		{"WithinLimits", "waits", func(e *Engine) { e.limits.WaitsPerSession = 0 }},
		{"WithinLimits", "take-overs", func(e *Engine) {
			for i := range uint32(9) {
				of(e, 3).takeOvers = append(of(e, 3).takeOvers, takeOver{nonce: 1, incarnation: i + 2})
			}
			of(e, 3).incarnation = 10
		}},
		{"WithinLimits", "a label", func(e *Engine) { of(e, 3).label = strings.Repeat("l", MaxLabelBytes+1) }},
		{"WithinLimits", "locks", func(e *Engine) { e.limits.Locks = 1 }},
		{"TenuresInOrder", "a tenure that began later", func(e *Engine) { e.tenures.began[0] = MaxLogTime }},
		{"TenuresInOrder", "a tenure that nobody saw", func(e *Engine) { e.tenures.began[3] = 1 }},
		{"TenuresInOrder", "a tenure of a later term", func(e *Engine) { e.tenure.Term = 9 }},
		{"IndexesMatchTheState", "a total", func(e *Engine) { e.grants++ }},
		{"ModesCounted", "modes held", func(e *Engine) { get(e, "/b").held.Add(Shared) }},
		{"ModesCounted", "modes closed", func(e *Engine) { get(e, "/c").line.closed.Add(Shared); get(e, "/c").line.closed.Add(Exclusive) }},
		{"DeadlinesIndexed", "a hold without deadline", func(e *Engine) { get(e, "/b").holders[0].until = MaxLogTime }},
		{"DeadlinesIndexed", "a waiter without deadline", func(e *Engine) {
			firstWaiter(get(e, "/a")).deadline = MaxLogTime
		}},
		{"DeadlinesIndexed", "a closure without deadline", func(e *Engine) { get(e, "/c").line.closures[0].Until++ }},
		{"IndexesMatchTheState", "a secret", func(e *Engine) { of(e, 3).secretHash[9]++ }},
		{"DigestIsTheSum", "a change without notice", func(e *Engine) {
			e.Digest()
			s, _ := e.sessions.Get(3)
			s.label = "unnoticed"
		}},
	} {
		t.Run(c.invariant+"/"+c.name, func(t *testing.T) {
			e := lived(t)
			c.plant(e)
			require.ErrorIs(t, e.CheckInvariants(), ErrInvariant)
			caught := false
			for _, inv := range invariants {
				caught = caught || inv.name == c.invariant && inv.check(e) != nil
			}
			assert.True(t, caught)
			tried[c.invariant] = true
		})
	}
	for _, inv := range invariants {
		assert.True(t, tried[inv.name], "nothing was planted for %s", inv.name)
	}
}

// closeForTest closes a lock for everybody, so that its waiters rightly wait.
func (l *lock) closeForTest(e *Engine) {
	e.events = make([]Event, 40)
	e.close(l, &grant{mode: Exclusive, token: e.lastToken, delay: MaxDelay})
}

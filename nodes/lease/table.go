package lease

import (
	"container/heap"
	"time"

	"lockstep/engine"
)

// Instant is a reading of the node's monotonic clock, as time since some fixed
// moment.
type Instant = time.Duration

const (
	// silenceParts: silence is recorded after each such part of the TTL...
	silenceParts = 4
	// MinSilenceStep ...but not in smaller steps than this.
	MinSilenceStep = time.Second
	// stallParts: a table that is looked at later than planned by more than such
	// a part of the smallest TTL was itself stopped.
	stallParts = 4
)

// Verdict is what a heartbeat meets.
type Verdict uint8

const (
	// Fine: it may be acknowledged once a round that began after it succeeds.
	Fine Verdict = 1
	// NeedsAlive: it may be acknowledged once Alive was applied.
	NeedsAlive Verdict = 2
	// Doomed: the session's expiry has been decided; no heartbeat counts any more.
	Doomed Verdict = 3
	// Unknown: the table has no such session.
	Unknown Verdict = 4
)

// Decision is a command of the service that the table asks for.
type Decision struct {
	Session engine.SessionID
	// Expire asks for ExpireSession; else Silent is to record Observed.
	Expire   bool
	Observed time.Duration
}

// lease is one session's row.
type lease struct {
	id  engine.SessionID
	ttl time.Duration
	// deadline is when the session is over unless a heartbeat is acknowledged.
	deadline Instant
	// counted is up to when its silence has been recorded or a heartbeat was
	// acknowledged.
	counted Instant
	// silent is set from the proposal of Silent until an Alive is applied that was
	// proposed after it; silences counts these proposals.
	silent   bool
	silences uint64
	// doomed is set before ExpireSession is proposed.
	doomed bool
	// wake is when the row is looked at next; it may be too early, never too late.
	wake Instant
	slot int
}

// Table holds the deadlines of one tenure. It is not safe for concurrent use.
type Table struct {
	rows map[engine.SessionID]*lease
	due  wakeOrder
	// planned is when Advance was to be called next, if it is set.
	planned    Instant
	hasPlanned bool
}

// Seed is a session that a new tenure finds in the log.
type Seed struct {
	Session engine.SessionID
	TTL     time.Duration
	// Silence is what the log records.
	Silence time.Duration
}

// New begins a tenure's table at now: each session has its TTL less the silence
// that is recorded already, so that sessions die even under endless changes of
// leader. What was acknowledged by earlier tenures lies before now.
func New(now Instant, seeds []Seed) *Table {
	t := &Table{rows: make(map[engine.SessionID]*lease, len(seeds))}
	for _, s := range seeds {
		left := max(s.TTL-s.Silence, 0)
		t.add(&lease{id: s.Session, ttl: s.TTL, deadline: now + left, counted: now, silent: s.Silence > 0})
	}
	return t
}

// Opened gives a session that was opened at now its full TTL.
func (t *Table) Opened(id engine.SessionID, ttl time.Duration, now Instant) {
	if old := t.rows[id]; old != nil {
		t.remove(old)
	}
	t.add(&lease{id: id, ttl: ttl, deadline: now + ttl, counted: now})
}

// TakenOver gives a session that was taken over at now its full TTL. What was
// proposed about it before stands: it may be in the log behind the take-over.
func (t *Table) TakenOver(id engine.SessionID, ttl time.Duration, now Instant) {
	row := t.rows[id]
	if row == nil {
		t.Opened(id, ttl, now)
		return
	}
	row.ttl = ttl
	row.heard(now)
}

// Gone forgets a session that has expired or ended.
func (t *Table) Gone(id engine.SessionID) {
	if row := t.rows[id]; row != nil {
		t.remove(row)
	}
}

// Arrived tells what a heartbeat that arrives now will need.
func (t *Table) Arrived(id engine.SessionID) Verdict {
	row := t.rows[id]
	switch {
	case row == nil:
		return Unknown
	case row.doomed:
		return Doomed
	case row.silent:
		return NeedsAlive
	default:
		return Fine
	}
}

// Acknowledge moves the deadline for a heartbeat that arrived at receipt and was
// confirmed since. The heartbeat may be acknowledged only if the verdict is
// Fine: the session may have fallen silent, or been doomed, meanwhile.
func (t *Table) Acknowledge(id engine.SessionID, receipt Instant) Verdict {
	verdict := t.Arrived(id)
	if verdict == Fine {
		t.rows[id].heard(receipt)
	}
	return verdict
}

// Silences is how often silence of a session has been proposed, to be taken when
// Alive is proposed.
func (t *Table) Silences(id engine.SessionID) uint64 {
	if row := t.rows[id]; row != nil {
		return row.silences
	}
	return 0
}

// Alive says that an Alive was applied which a heartbeat that arrived at receipt
// had asked for, and which was proposed when Silences was this. If it returns
// Fine, that heartbeat may be acknowledged. Otherwise the log may record silence
// behind that Alive: a later tenure would count it against the session.
func (t *Table) Alive(id engine.SessionID, silences uint64, receipt Instant) Verdict {
	row := t.rows[id]
	switch {
	case row == nil:
		return Unknown
	case row.doomed:
		return Doomed
	case row.silences != silences:
		return NeedsAlive
	}
	row.silent = false
	row.heard(receipt)
	return Fine
}

// heard never moves a deadline back: heartbeats may be confirmed out of order.
func (row *lease) heard(receipt Instant) {
	row.deadline = max(row.deadline, receipt+row.ttl)
	row.counted = max(row.counted, receipt)
}

// Advance returns what is to be proposed at now, in order of the sessions'
// deadlines, and takes it as proposed: from here on, no heartbeat of a session
// whose silence or expiry was returned counts without more ado.
func (t *Table) Advance(now Instant) []Decision {
	t.forgiveOwnStall(now)
	var decisions []Decision
	for len(t.due) > 0 && t.due[0].wake <= now {
		row := t.due[0]
		switch {
		case row.doomed:
			// Decided; it stays only so that heartbeats meet it.
		case row.deadline <= now:
			row.doomed = true
			decisions = append(decisions, Decision{Session: row.id, Expire: true})
		case now-row.counted >= row.step():
			decisions = append(decisions, Decision{Session: row.id, Observed: now - row.counted})
			row.counted, row.silent = now, true
			row.silences++
		}
		t.reschedule(row)
	}
	return decisions
}

// forgiveOwnStall moves all deadlines by the time that this node did not run: it
// could not have heard anything meanwhile.
func (t *Table) forgiveOwnStall(now Instant) {
	late := now - t.planned
	planned := t.hasPlanned
	t.hasPlanned = false
	if !planned || late <= engine.MinTTL/stallParts || late <= t.smallestTTL()/stallParts {
		return
	}
	for _, row := range t.rows {
		row.deadline += late
		row.counted = min(row.counted+late, now)
	}
	for _, row := range t.due {
		row.wake = row.next()
	}
	heap.Init(&t.due)
}

func (t *Table) smallestTTL() time.Duration {
	smallest := engine.MaxTTL
	for _, row := range t.rows {
		smallest = min(smallest, row.ttl)
	}
	return smallest
}

// Plan returns when Advance is to be called next and remembers it, to notice if
// that comes late; false if there is nothing to wait for.
func (t *Table) Plan() (Instant, bool) {
	if len(t.due) == 0 || t.due[0].wake == never {
		t.hasPlanned = false
		return 0, false
	}
	t.planned, t.hasPlanned = t.due[0].wake, true
	return t.planned, true
}

// Sessions is how many sessions the table holds.
func (t *Table) Sessions() int { return len(t.rows) }

// step is how much silence is recorded at once.
func (row *lease) step() time.Duration { return max(row.ttl/silenceParts, MinSilenceStep) }

const never = Instant(1<<63 - 1)

func (row *lease) next() Instant {
	if row.doomed {
		return never
	}
	return min(row.deadline, row.counted+row.step())
}

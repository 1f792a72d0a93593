package engine

import (
	"cmp"
	"slices"
	"time"

	"lockstep/engine/mode"
	"lockstep/engine/queue"
)

// lock is the record of a lock that is held, waited for, or closed. Others have
// none.
type lock struct {
	record
	held mode.Counts
	path string
	// base is the token counter when the record was made: every earlier grant on
	// this path is over and had a token of at most base.
	base Token
	// last holds, for each mode, the token of the last grant in it.
	last [mode.Last]Token
	// holders by token. The first is stored in the record, since most locks have
	// one holder.
	holders []grant
	first   [1]grant
	// line is nil when nobody waits and nothing is closed.
	line *line
}

// line is who waits for a lock, and what dead grants keep closed.
type line struct {
	waiters  queue.Line[*waiter]
	closures []closure
	closed   mode.Counts
}

// grant is a Grant without what the lock's record knows.
type grant struct {
	session   SessionID
	owner     OwnerID
	token     Token
	floor     Token
	since     Position
	sinceTime LogTime
	waiter    WaiterID
	until     LogTime
	delay     time.Duration
	mode      Mode
	count     uint32
	// incarnation of the session that asked for it.
	incarnation uint32
}

// waiter is a queued request. It never changes.
type waiter struct {
	id          WaiterID
	key         queue.Key
	path        string
	session     SessionID
	incarnation uint32
	owner       OwnerID
	mode        Mode
	sequence    uint64
	since       Position
	sinceTime   LogTime
	deadline    LogTime
	hold        time.Duration
	delay       time.Duration
}

// closure keeps a dead grant's mode closed.
type closure struct {
	Closure
	since Position
}

// clone copies a record for a new epoch. The waiters' tree copies itself as it
// changes.
func (l *lock) clone(epoch uint64) *lock {
	c := *l
	c.epoch = epoch
	if len(l.holders) <= len(c.first) {
		c.holders = c.first[:copy(c.first[:], l.holders)]
	} else {
		c.holders = slices.Clone(l.holders)
	}
	if l.line != nil {
		ln := *l.line
		ln.closures = slices.Clone(l.line.closures)
		c.line = &ln
	}
	return &c
}

// touchLock makes a lock's record one that may be changed, until the next View.
// The record handed in is not to be used any more.
func (e *Engine) touchLock(l *lock) *lock {
	if l.epoch != e.epoch {
		l = l.clone(e.epoch)
		e.locks.Replace(e.epoch, l.path, l)
	}
	e.digest.lock(l)
	return l
}

// makeLock makes the record of a path that has none.
func (e *Engine) makeLock(path string) *lock {
	l := &lock{record: record{epoch: e.epoch}, path: path, base: e.lastToken}
	l.holders = l.first[:0]
	e.locks.Insert(e.epoch, path, l)
	e.digest.lock(l)
	return l
}

// collect deletes a touched record when it says nothing any more.
func (e *Engine) collect(l *lock) {
	if l.line != nil && l.line.waiters.Len() == 0 && len(l.line.closures) == 0 {
		l.line = nil
	}
	if l.line == nil && len(l.holders) == 0 {
		e.locks.Delete(e.epoch, l.path)
		e.digest.dropLock(l)
	}
}

// requests is what RequestsPerLock bounds.
func (l *lock) requests() int {
	n := len(l.holders)
	if l.line != nil {
		n += l.line.waiters.Len() + len(l.line.closures)
	}
	return n
}

// granted holds the modes of the holders and closures.
func (l *lock) granted() mode.Set {
	set := l.held.Set()
	if l.line != nil {
		set |= l.line.closed.Set()
	}
	return set
}

// floor is the last token of a grant that m does not get on with.
func (l *lock) floor(m Mode) Token {
	floor := l.base
	for i, last := range l.last {
		if last > floor && !mode.Compatible(m, Mode(i+1)) {
			floor = last
		}
	}
	return floor
}

// lastToken is the token of the path's last grant, as far as it is known.
func (l *lock) lastToken() Token { return max(l.base, slices.Max(l.last[:])) }

// byToken finds a holder.
func (l *lock) byToken(t Token) (int, bool) {
	if len(l.holders) == 1 && l.holders[0].token == t {
		return 0, true
	}
	return slices.BinarySearchFunc(l.holders, t, func(g grant, t Token) int { return cmp.Compare(g.token, t) })
}

// ofOwner finds an owner's grant: among the lock's holders or among the session's
// grants, whichever are fewer.
func (l *lock) ofOwner(s *session, owner OwnerID) (int, bool) {
	if int(s.grants) >= len(l.holders) {
		i := slices.IndexFunc(l.holders, func(g grant) bool { return g.session == s.id && g.owner == owner })
		return i, i >= 0
	}
	for token, path := range s.own.grants.All() {
		if path != l.path {
			continue
		}
		if i, found := l.byToken(token); found && l.holders[i].owner == owner {
			return i, true
		}
	}
	return -1, false
}

// holder is the i-th holder for the outside.
func (l *lock) holder(i int) Grant {
	g := &l.holders[i]
	return Grant{
		Path: l.path, Session: g.session, Owner: g.owner, Mode: g.mode, Token: g.token, Floor: g.floor,
		Count: g.count, Since: g.since, SinceTime: g.sinceTime, Waiter: g.waiter, Until: g.until,
	}
}

func (l *lock) info() LockInfo {
	info := LockInfo{Path: l.path, LastToken: l.lastToken()}
	for i := range l.holders {
		info.Holders = append(info.Holders, l.holder(i))
	}
	if l.line != nil {
		info.Waiters = uint32(l.line.waiters.Len())
		for _, c := range l.line.closures {
			info.Closures = append(info.Closures, c.Closure)
		}
	}
	return info
}

// info is the waiter for the outside; ahead counts the requests before it.
func (w *waiter) info(ahead int) Waiter {
	return Waiter{
		ID: w.id, Path: w.path, Session: w.session, Owner: w.owner, Mode: w.mode, Sequence: w.sequence,
		Since: w.since, SinceTime: w.sinceTime, Deadline: w.deadline, Ahead: uint32(ahead),
	}
}

package engine

import "lockstep/engine/fingerprint"

// Seeds keep the records of different kinds apart.
const (
	seedHeader  = 1
	seedSession = 2
	seedLock    = 3
)

// unsettled is how many records may wait to be added up again before Apply does
// it, so that a digest that is seldom asked for is never long in coming.
const unsettled = 4096

// digest is the sum of the fingerprints of all records' canonical bytes. A record
// that is about to change is taken out of the sum once and noted; when the digest
// is asked for, the noted ones are encoded and added again.
type digest struct {
	sum      uint64
	sessions []*session
	locks    []*lock
}

// session takes a session out of the sum; to be called before each change, and
// with the record that will be changed.
func (d *digest) session(s *session) {
	if s.dirty == 0 {
		d.sum -= s.sum
		s.sum = 0
		d.sessions = append(d.sessions, s)
		s.dirty = uint32(len(d.sessions))
		return
	}
	d.sessions[s.dirty-1] = s // which may be a new copy
}

// lock takes a lock out of the sum, as session does.
func (d *digest) lock(l *lock) {
	if l.dirty == 0 {
		d.sum -= l.sum
		l.sum = 0
		d.locks = append(d.locks, l)
		l.dirty = uint32(len(d.locks))
		return
	}
	d.locks[l.dirty-1] = l
}

// dropSession forgets a deleted record, which has been taken out of the sum.
func (d *digest) dropSession(s *session) { d.sessions[s.dirty-1] = nil }

// dropLock forgets a deleted record, which has been taken out of the sum.
func (d *digest) dropLock(l *lock) { d.locks[l.dirty-1] = nil }

// settle adds the noted records up when they have become many.
func (d *digest) settle(scratch *[]byte) {
	if len(d.sessions)+len(d.locks) > unsettled {
		d.add(scratch)
	}
}

// add adds the noted records to the sum again.
func (d *digest) add(scratch *[]byte) {
	buf := *scratch
	for _, s := range d.sessions {
		if s == nil {
			continue
		}
		buf = appendSession(buf[:0], s)
		s.sum, s.dirty = fingerprint.Of(seedSession, buf), 0
		d.sum += s.sum
	}
	for _, l := range d.locks {
		if l == nil {
			continue
		}
		buf = appendLock(buf[:0], l)
		l.sum, l.dirty = fingerprint.Of(seedLock, buf), 0
		d.sum += l.sum
	}
	clear(d.sessions)
	clear(d.locks)
	d.sessions, d.locks = d.sessions[:0], d.locks[:0]
	*scratch = buf
}

// Digest is a fingerprint of the whole state: equal on all replicas at equal
// indices, and equal after Restore. It costs in proportion to what has changed
// since it was last asked for.
func (e *Engine) Digest() uint64 {
	e.digest.add(&e.scratch)
	e.scratch = appendHeader(e.scratch[:0], &e.state)
	return e.digest.sum + fingerprint.Of(seedHeader, e.scratch)
}

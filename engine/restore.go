package engine

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"lockstep/engine/fingerprint"
)

// Restore reads a snapshot to its end. It returns ErrVersion, ErrCorrupt,
// ErrLineage or ErrLimits, wrapped, or the reader's own error. What it returns
// satisfies all invariants and has the digest of the state that was written.
func Restore(r io.Reader, cfg Config) (*Engine, error) {
	s := &snapshotReader{in: bufio.NewReaderSize(r, chunkBytes)}
	e, err := s.restore(cfg)
	if err == nil {
		return e, nil
	}
	if s.err != nil && !errors.Is(s.err, io.EOF) && !errors.Is(s.err, io.ErrUnexpectedEOF) {
		err = s.err
	}
	return nil, fmt.Errorf("restoring a snapshot: %w", err)
}

func (s *snapshotReader) restore(cfg Config) (*Engine, error) {
	head := s.bytes(len(snapshotMagic) + 1)
	if s.err != nil || string(head[:len(snapshotMagic)]) != snapshotMagic {
		return nil, fmt.Errorf("%w: not a snapshot", ErrCorrupt)
	}
	if version := head[len(snapshotMagic)]; version != snapshotVersion {
		return nil, fmt.Errorf("%w: snapshot of version %d, this program knows %d", ErrVersion, version, snapshotVersion)
	}
	rec := reader{data: s.record(seedHeader)}
	st, sessions, locks := decodeHeader(&rec)
	if s.err != nil || !rec.done() || st.check() != nil {
		return nil, fmt.Errorf("%w: header", ErrCorrupt)
	}
	if cfg.Lineage != 0 && cfg.Lineage != st.lineage {
		return nil, fmt.Errorf("%w: want %d, it is of %d", ErrLineage, cfg.Lineage, st.lineage)
	}
	if cfg.Limits != (Limits{}) && cfg.Limits != st.limits {
		return nil, fmt.Errorf("%w: want %+v, it has %+v", ErrLimits, cfg.Limits, st.limits)
	}
	e := newEngine(st)
	for i := range sessions {
		if err := e.restoreSession(s.record(seedSession), s.share); err != nil {
			return nil, fmt.Errorf("session %d of %d: %w", i+1, sessions, err)
		}
	}
	for i := range locks {
		if err := e.restoreLock(s.record(seedLock), s.share); err != nil {
			return nil, fmt.Errorf("lock %d of %d: %w", i+1, locks, err)
		}
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	e.digest.sum = s.digest - s.headerShare
	if err := e.CheckInvariants(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return e, nil
}

// check refuses a header that no engine has.
func (st *state) check() error {
	if err := (Config{st.lineage, st.limits}).Validate(); err != nil {
		return err
	}
	if len(st.tenure.Node) > MaxNodeBytes || st.tenure.Began > st.time {
		return ErrCorrupt
	}
	return nil
}

func (e *Engine) restoreSession(data []byte, share uint64) error {
	r := reader{data: data}
	s := decodeSession(&r)
	if !r.done() {
		return ErrCorrupt
	}
	if last, _, some := e.sessions.Max(); some && last >= s.id {
		return fmt.Errorf("%w: sessions %d and %d out of order", ErrCorrupt, last, s.id)
	}
	if _, taken := e.bySecret[s.secretHash]; taken {
		return fmt.Errorf("%w: two sessions of one secret", ErrCorrupt)
	}
	s.epoch, s.sum = e.epoch, share
	e.sessions.Insert(e.epoch, s.id, s)
	e.bySecret[s.secretHash] = s.id
	if s.state == SessionExpired {
		e.ending.Insert(0, s.id, struct{}{})
	}
	return nil
}

func (e *Engine) restoreLock(data []byte, share uint64) error {
	r := reader{data: data}
	l := decodeLock(&r)
	if !r.done() || l.requests() > int(e.limits.RequestsPerLock) {
		return ErrCorrupt
	}
	if last, _, some := e.locks.Max(); some && last >= l.path {
		return fmt.Errorf("%w: locks %q and %q out of order", ErrCorrupt, last, l.path)
	}
	l.epoch, l.sum = e.epoch, share
	e.locks.Insert(e.epoch, l.path, l)
	for i := range l.holders {
		if err := e.restoreGrant(l, &l.holders[i]); err != nil {
			return err
		}
	}
	if l.line == nil {
		return nil
	}
	for _, w := range l.line.waiters.All() {
		if err := e.restoreWaiter(w); err != nil {
			return err
		}
	}
	for i := range l.line.closures {
		c := &l.line.closures[i]
		if e.deadlineTaken(c.Until, c.since) {
			return fmt.Errorf("%w: closure of token %d", ErrCorrupt, c.Token)
		}
		e.indexClosure(l, c)
	}
	return nil
}

func (e *Engine) restoreGrant(l *lock, g *grant) error {
	s, found := e.sessions.Get(g.session)
	if !found {
		return fmt.Errorf("%w: token %d of no session", ErrCorrupt, g.token)
	}
	if _, taken := s.own.grants.Get(g.token); taken || e.deadlineTaken(g.until, g.since) {
		return fmt.Errorf("%w: token %d twice", ErrCorrupt, g.token)
	}
	e.indexGrant(s, l, g)
	return nil
}

func (e *Engine) restoreWaiter(w *waiter) error {
	s, found := e.sessions.Get(w.session)
	if !found {
		return fmt.Errorf("%w: waiter %d of no session", ErrCorrupt, w.id)
	}
	if _, taken := s.own.waits.Get(w.id); taken || e.deadlineTaken(w.deadline, w.since) {
		return fmt.Errorf("%w: waiter %d twice", ErrCorrupt, w.id)
	}
	e.indexWaiter(s, w)
	return nil
}

func (e *Engine) deadlineTaken(at LogTime, since Position) bool {
	_, taken := e.due.Get(dueKey{at, since})
	return taken && at != 0
}

// snapshotReader reads records and keeps the checksum of what it has read.
type snapshotReader struct {
	in  *bufio.Reader
	buf []byte
	crc uint32
	// digest is the sum of the records' shares, share that of the last one.
	digest      uint64
	share       uint64
	headerShare uint64
	err         error
}

// bytes reads n bytes; they are valid until the next read. It makes room for them
// as they come, not as they are claimed.
func (s *snapshotReader) bytes(n int) []byte {
	s.buf = s.buf[:0]
	for len(s.buf) < n && s.err == nil {
		have := len(s.buf)
		step := min(n-have, chunkBytes)
		s.buf = append(s.buf, make([]byte, step)...)
		_, s.err = io.ReadFull(s.in, s.buf[have:])
	}
	s.crc = crc32.Update(s.crc, castagnoli, s.buf)
	return s.buf
}

// record reads a record; what it returns is valid until the next read, and empty
// after an error.
func (s *snapshotReader) record(seed uint64) []byte {
	var prefix []byte
	for s.err == nil {
		var b byte
		b, s.err = s.in.ReadByte()
		prefix = append(prefix, b)
		if b < 0x80 || len(prefix) == binary.MaxVarintLen64 {
			break
		}
	}
	r := reader{data: prefix}
	n := r.uintUpTo(maxRecordBytes)
	if s.err != nil || !r.done() {
		return nil
	}
	s.crc = crc32.Update(s.crc, castagnoli, prefix)
	data := s.bytes(int(n))
	if s.err != nil {
		return nil
	}
	s.share = fingerprint.Of(seed, data)
	s.digest += s.share
	if seed == seedHeader {
		s.headerShare = s.share
	}
	return data
}

// end reads digest and checksum, after which nothing may follow.
func (s *snapshotReader) end() error {
	digest := s.bytes(8)
	if s.err != nil || binary.LittleEndian.Uint64(digest) != s.digest {
		return fmt.Errorf("%w: the digest differs", ErrCorrupt)
	}
	want := s.crc
	sum := s.bytes(4)
	if s.err != nil || binary.LittleEndian.Uint32(sum) != want {
		return fmt.Errorf("%w: the checksum differs", ErrCorrupt)
	}
	if _, err := s.in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: bytes after the end", ErrCorrupt)
	}
	return nil
}

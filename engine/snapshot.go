package engine

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"

	"lockstep/engine/fingerprint"
)

// A snapshot is the magic, the version, the header's record, the sessions by id,
// the locks by path, the digest, and the CRC-32C of everything before it. Each
// record is preceded by its length.
const (
	snapshotMagic   = "LKSN"
	snapshotVersion = 1
	// maxRecordBytes bounds a record. The largest is a lock with as many requests
	// as limits allow.
	maxRecordBytes = 16 << 20
	// chunkBytes is how much is written, and read, at once.
	chunkBytes = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteSnapshot writes the view's canonical bytes: equal states give equal bytes.
// It returns the writer's error. It takes long for a large state and may run
// beside the engine.
func (v *View) WriteSnapshot(w io.Writer) error {
	s := snapshotWriter{out: w, buf: make([]byte, 0, 2*chunkBytes)}
	s.buf = append(s.buf, snapshotMagic...)
	s.buf = append(s.buf, snapshotVersion)
	s.record(seedHeader, appendHeader(nil, &v.state))
	var scratch []byte
	for _, rec := range v.sessions.All() {
		scratch = appendSession(scratch[:0], rec)
		s.record(seedSession, scratch)
	}
	for _, rec := range v.locks.All() {
		scratch = appendLock(scratch[:0], rec)
		s.record(seedLock, scratch)
	}
	s.buf = binary.LittleEndian.AppendUint64(s.buf, s.digest)
	s.flush()
	s.buf = binary.LittleEndian.AppendUint32(s.buf, s.crc)
	s.flush()
	if s.err != nil {
		return fmt.Errorf("engine: writing a snapshot: %w", s.err)
	}
	return nil
}

type snapshotWriter struct {
	out    io.Writer
	buf    []byte
	crc    uint32
	digest uint64
	err    error
}

// record writes a record and adds its share to the digest.
func (s *snapshotWriter) record(seed uint64, data []byte) {
	s.digest += fingerprint.Of(seed, data)
	s.buf = appendUint(s.buf, uint64(len(data)))
	s.buf = append(s.buf, data...)
	if len(s.buf) >= chunkBytes {
		s.flush()
		// Encoding is pure computing and may take a second. Without a pause the
		// scheduler lets it run for 10 ms at a time, and with the garbage collector
		// on the other processor the applies would wait for just as long.
		runtime.Gosched()
	}
}

func (s *snapshotWriter) flush() {
	s.crc = crc32.Update(s.crc, castagnoli, s.buf)
	if s.err == nil {
		_, s.err = s.out.Write(s.buf)
	}
	s.buf = s.buf[:0]
}

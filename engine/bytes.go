package engine

import (
	"encoding/binary"
	"time"
)

// Canonical bytes: numbers are unsigned varints of the shortest form (signed ones
// zigzagged), texts are preceded by their length. There is one way to write a
// value, and reading refuses all others.

func appendUint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

func appendInt(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendString(dst []byte, s string) []byte {
	return append(appendUint(dst, uint64(len(s))), s...)
}

func appendPosition(dst []byte, p Position) []byte {
	return appendUint(appendUint(dst, p.Index), uint64(p.N))
}

// reader reads canonical bytes. The first thing that makes no sense fails it for
// good: everything read from then on is zero, and nothing is allocated for what a
// length only claims.
type reader struct {
	data   []byte
	failed bool
}

func (r *reader) fail() { r.failed, r.data = true, nil }

// done says whether all was read and made sense.
func (r *reader) done() bool { return !r.failed && len(r.data) == 0 }

func (r *reader) uint() uint64 {
	if len(r.data) > 0 && r.data[0] < 0x80 {
		v := uint64(r.data[0])
		r.data = r.data[1:]
		return v
	}
	v, n := binary.Uvarint(r.data)
	if n <= 0 || n > 1 && v>>(7*(n-1)) == 0 { // longer than needed
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) int() int64 {
	v := r.uint()
	return int64(v>>1) ^ -int64(v&1)
}

// uintUpTo reads a number that is at most limit.
func (r *reader) uintUpTo(limit uint64) uint64 {
	v := r.uint()
	if v > limit {
		r.fail()
		return 0
	}
	return v
}

func (r *reader) uint32() uint32 { return uint32(r.uintUpTo(1<<32 - 1)) }

func (r *reader) byte() byte {
	if len(r.data) == 0 {
		r.fail()
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail()
	}
	return b == 1
}

// count reads the number of elements that follow, each at least size bytes long.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.data)/size) { // of what is left behind the number
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) string() string {
	n := r.count(1)
	s := string(r.data[:n])
	r.data = r.data[n:]
	return s
}

func (r *reader) hash() (h [32]byte) {
	if len(r.data) < len(h) {
		r.fail()
		return h
	}
	r.data = r.data[copy(h[:], r.data):]
	return h
}

func (r *reader) position() Position { return Position{Index: r.uint(), N: r.uint32()} }

func (r *reader) duration() time.Duration { return time.Duration(r.int()) }

func (r *reader) logTime() LogTime { return LogTime(r.uintUpTo(uint64(MaxLogTime))) }

package raftwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// What is kept in a store carries our own trailer, since stores check little or
// nothing at reading: raft-wal has no checksum on the read path and would return
// another entry's bytes without noticing.
//
//	entry   data, index (8), term (8), type (1), version (1), crc32c (4)
//	value   data, version (1), crc32c (4)
//
// Integers are big endian. The checksum is over everything before it; that of an
// entry continues over its extensions, that of a value begins with its key.
const (
	sealVersion  = 1
	entryTrailer = 8 + 8 + 1 + 1 + 4
	valueTrailer = 1 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errSeal is wrapped by everything that is wrong with what a store returned.
var errSeal = errors.New("damaged")

// sealEntry appends e's data and trailer to dst and returns the extended slice.
func sealEntry(dst []byte, e *raft.Log) []byte {
	begin := len(dst)
	dst = append(dst, e.Data...)
	dst = binary.BigEndian.AppendUint64(dst, e.Index)
	dst = binary.BigEndian.AppendUint64(dst, e.Term)
	dst = append(dst, byte(e.Type), sealVersion)
	return binary.BigEndian.AppendUint32(dst, entrySum(dst[begin:], e.Extensions))
}

func entrySum(sealed, extensions []byte) uint32 {
	return crc32.Update(crc32.Checksum(sealed, castagnoli), castagnoli, extensions)
}

// unsealEntry checks that e is the entry at index that was stored, and takes the
// trailer off.
func unsealEntry(e *raft.Log, index uint64) error {
	n := len(e.Data) - entryTrailer
	if n < 0 {
		return fmt.Errorf("%w: %d bytes are too few", errSeal, len(e.Data))
	}
	sum := binary.BigEndian.Uint32(e.Data[len(e.Data)-4:])
	if got := entrySum(e.Data[:len(e.Data)-4], e.Extensions); got != sum {
		return fmt.Errorf("%w: checksum %08x, stored %08x", errSeal, got, sum)
	}
	trailer := e.Data[n:]
	storedIndex, storedTerm := binary.BigEndian.Uint64(trailer), binary.BigEndian.Uint64(trailer[8:])
	storedType, version := raft.LogType(trailer[16]), trailer[17]
	switch {
	case version != sealVersion:
		return fmt.Errorf("%w: format version %d is unknown", errSeal, version)
	case storedIndex != index || e.Index != index:
		return fmt.Errorf("%w: entry %d (by its head %d) is at the place of %d", errSeal, storedIndex, e.Index, index)
	case storedTerm != e.Term || storedType != e.Type:
		return fmt.Errorf("%w: term %d and type %d by its head, %d and %d by its trailer",
			errSeal, e.Term, e.Type, storedTerm, storedType)
	}
	e.Data = e.Data[:n:n]
	return nil
}

func sealValue(key string, data []byte) []byte {
	sealed := append(append(make([]byte, 0, len(data)+valueTrailer), data...), sealVersion)
	return binary.BigEndian.AppendUint32(sealed, valueSum(key, sealed))
}

func valueSum(key string, sealed []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, sealed)
}

func unsealValue(key string, sealed []byte) ([]byte, error) {
	n := len(sealed) - valueTrailer
	if n < 0 {
		return nil, fmt.Errorf("%w: %d bytes are too few", errSeal, len(sealed))
	}
	sum := binary.BigEndian.Uint32(sealed[n+1:])
	if got := valueSum(key, sealed[:n+1]); got != sum {
		return nil, fmt.Errorf("%w: checksum %08x, stored %08x", errSeal, got, sum)
	}
	if sealed[n] != sealVersion {
		return nil, fmt.Errorf("%w: format version %d is unknown", errSeal, sealed[n])
	}
	return sealed[:n:n], nil
}

package replica

import (
	"encoding/binary"
	"fmt"

	"lockstep/engine"
)

// entryVersion is the first byte of an entry's data.
const entryVersion = 1

// AppendEntry encodes a batch as an entry's data. term is that of the tenure whose
// log clock stamped it; 0: no tenure runs, and the batch has no stamp.
//
// Raft gives an entry the term that is current when it is dispatched, which may be
// a later one of the same node (rule U10). The stamp is a decision of its tenure
// like any other and must not count then: since that tenure, log time stood still
// at each change of leader, while its clock went on, and deadlines set meanwhile
// would fire early.
func AppendEntry(dst []byte, term uint64, b engine.Batch) []byte {
	dst = append(dst, entryVersion)
	dst = binary.AppendUvarint(dst, term)
	return engine.AppendBatch(dst, b)
}

// DecodeEntry decodes the data of the entry at index. Errors wrap
// engine.ErrVersion or engine.ErrCorrupt.
func DecodeEntry(index, term uint64, data []byte) (engine.Entry, error) {
	if len(data) == 0 {
		return engine.Entry{}, fmt.Errorf("%w: entry without data", engine.ErrCorrupt)
	}
	if data[0] != entryVersion {
		return engine.Entry{}, fmt.Errorf("%w: entry of version %d, this program knows %d", engine.ErrVersion, data[0], entryVersion)
	}
	stampedIn, n := binary.Uvarint(data[1:])
	if n <= 0 {
		return engine.Entry{}, fmt.Errorf("%w: the stamp's term is cut off", engine.ErrCorrupt)
	}
	batch, err := engine.DecodeBatch(data[1+n:])
	if err != nil {
		return engine.Entry{}, err
	}
	if stampedIn != term {
		batch.Time = 0 // log time is the maximum of the stamps: this one moves nothing
	}
	return engine.Entry{Index: index, Term: term, Batch: batch}, nil
}

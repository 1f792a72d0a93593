//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hashicorp/raft-wal/types"
)

// filer opens the log's segments, and two kinds of them that raft-wal 0.4.0
// leaves behind and cannot use itself.
type filer struct{ types.SegmentFiler }

// Open opens a segment that is no longer appended to. When entries are deleted
// from the end of the log, raft-wal ends the segment without giving it an index,
// and refuses to read it after a restart. Such a one is read the way an
// unfinished one is: from its frames.
func (f filer) Open(info types.SegmentInfo) (types.SegmentReader, error) {
	if info.IndexStart != 0 {
		return f.SegmentFiler.Open(info)
	}
	return f.RecoverTail(info)
}

// finishSeal ends the log's last segment if a crash came between the append that
// filled it and the record of it. raft-wal does not look for this, and would
// refuse every append for ever. The index in the file is not trusted: it may be
// torn; filer.Open does without.
func finishSeal(meta types.MetaStore, files types.SegmentFiler, logs string) error {
	state, err := meta.Load(logs)
	if err != nil || len(state.Segments) == 0 {
		return err
	}
	tail := &state.Segments[len(state.Segments)-1]
	if !tail.SealTime.IsZero() {
		return nil
	}
	sealed, last, err := lookAtTail(files, *tail)
	if err != nil || !sealed {
		return err
	}
	now := time.Now() //nolint:forbidigo // raft-wal's own record of when, for people; nothing is decided by it
	next := types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: last + 1, MinIndex: last + 1,
		Codec: tail.Codec, CreateTime: now, SizeLimit: tail.SizeLimit,
	}
	state.NextSegmentID++
	if last < tail.BaseIndex {
		// Nothing in it was ever acknowledged: another one takes its place.
		next.BaseIndex, next.MinIndex = tail.BaseIndex, tail.BaseIndex
		*tail = next
	} else {
		tail.SealTime, tail.MaxIndex = now, last
		state.Segments = append(state.Segments, next)
	}
	if err := meta.CommitState(state); err != nil {
		return fmt.Errorf("finish an interrupted segment: %w", err)
	}
	return nil
}

// lookAtTail tells whether the last segment takes no more entries, and its last
// entry.
func lookAtTail(files types.SegmentFiler, info types.SegmentInfo) (sealed bool, last uint64, err error) {
	w, err := files.RecoverTail(info)
	if errors.Is(err, fs.ErrNotExist) {
		return false, 0, nil // raft-wal makes it
	}
	if err != nil {
		return false, 0, err
	}
	sealed, _, err = w.Sealed()
	return sealed, w.LastIndex(), errors.Join(err, w.Close())
}

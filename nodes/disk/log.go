//go:build unix

package disk

import (
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/types"
)

var (
	_ raft.LogStore          = (*log)(nil)
	_ raft.MonotonicLogStore = (*log)(nil)
	_ raft.StableStore       = (*log)(nil)
)

// log is raft-wal with better excuses: it makes the next segment in the
// background and, when that fails, for want of space above all, the next append
// only says that the old segment is sealed.
type log struct {
	*wal.WAL
	segments *segments
}

// StoreLog appends one entry.
func (l *log) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs appends entries; they are durable when it returns nil.
func (l *log) StoreLogs(entries []*raft.Log) error {
	err := l.WAL.StoreLogs(entries)
	if err == nil {
		return nil
	}
	if cause := l.segments.failure.Load(); cause != nil {
		return fmt.Errorf("disk: %w, since the next segment could not be made: %w", err, *cause)
	}
	return fmt.Errorf("disk: %w", err)
}

// segments are the log's files; they remember why one could not be made.
type segments struct {
	types.VFS
	failure atomic.Pointer[error]
}

// Create makes a file of the given size and takes its place on the disk.
func (s *segments) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := s.VFS.Create(dir, name, size)
	if err != nil {
		err = fmt.Errorf("%d bytes in %s: %w", size, dir, err)
		s.failure.Store(&err)
	}
	return f, err
}

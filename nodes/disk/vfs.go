//go:build unix

package disk

import (
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

var _ types.VFS = (*files)(nil)

// files are the log's files. They differ from raft-wal's own in one thing: a
// file that has been synced once is synced without its times, which saves the
// file system a write to its journal at every commit.
type files struct{ *fs.FS }

func newFiles() *files { return &files{fs.New()} }

// Create makes a file of the given size and takes that place on the disk.
func (v *files) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := v.FS.Create(dir, name, size)
	if err != nil {
		return nil, fmt.Errorf("disk: create %s: %w", filepath.Join(dir, name), err)
	}
	return lighten(f), nil
}

// OpenWriter opens a file for writing.
func (v *files) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := v.FS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return lighten(f), nil
}

// descriptor is what os.File and raft-wal's own File have.
type descriptor interface{ Fd() uintptr }

func lighten(f types.WritableFile) types.WritableFile {
	fd, ok := f.(descriptor)
	if !ok {
		return f
	}
	return &lightFile{WritableFile: f, fd: fd}
}

type lightFile struct {
	types.WritableFile
	fd     descriptor
	synced atomic.Bool
}

// Sync makes what was written durable, at the first time the file's name as well.
func (f *lightFile) Sync() error {
	if f.synced.Load() {
		return syncData(f.fd.Fd())
	}
	if err := f.WritableFile.Sync(); err != nil {
		return err
	}
	f.synced.Store(true)
	return nil
}

//go:build unix

package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"github.com/jonboulle/clockwork"

	"lockstep/nodes/raftwire"
)

// Directory is an open data directory.
type Directory struct {
	path     string
	identity Identity
	lock     *os.File
	// meta is the log's list of segments and its stable store. It is ours to close:
	// raft-wal leaves it open, and locked.
	meta      metadb.BoltMetaDB
	wal       *wal.WAL
	segments  *segments
	snapshots *snapshotStore
}

// Open opens or creates the directory, locks it against other processes and
// checks whose it is and that its newest snapshot is whole. Errors wrap
// ErrLocked, ErrForeign, ErrDamaged or ErrNoSpace, or are the file system's.
func Open(cfg Config, logger *slog.Logger) (*Directory, error) {
	return open(cfg, logger, fs.New())
}

// open takes the files of the log from vfs: tests make them fail.
func open(cfg Config, logger *slog.Logger, vfs types.VFS) (*Directory, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Directory, 0o700); err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	d := &Directory{path: cfg.Directory}
	if err := d.fill(cfg, logger, vfs); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Directory) fill(cfg Config, logger *slog.Logger, vfs types.VFS) (err error) {
	if d.lock, err = lock(cfg.Directory); err != nil {
		return err
	}
	if err := checkSpace(cfg); err != nil {
		return err
	}
	if d.identity, err = claim(cfg.Directory, cfg.Identity); err != nil {
		return err
	}
	if err := makeDirs(cfg.Directory); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	if d.snapshots, err = openSnapshots(filepath.Join(cfg.Directory, snapshotDir), logger); err != nil {
		return err
	}
	logs := filepath.Join(cfg.Directory, logDir)
	d.segments = &segments{VFS: vfs}
	files := filer{segment.NewFiler(logs, d.segments)}
	if err := finishSeal(&d.meta, files, logs); err != nil {
		return openError(logs, err)
	}
	d.wal, err = wal.Open(logs,
		wal.WithSegmentSize(cfg.SegmentSize),
		wal.WithSegmentFiler(files),
		wal.WithMetaStore(&d.meta),
		wal.WithLogger(raftwire.NewLogger(logger, clockwork.NewRealClock())))
	if err != nil {
		d.wal = nil
		return openError(logs, err)
	}
	return nil
}

func openError(path string, err error) error {
	if errors.Is(err, wal.ErrCorrupt) {
		return fmt.Errorf("%w: the log in %s: %w", ErrDamaged, path, err)
	}
	return fmt.Errorf("disk: open the log in %s: %w", path, err)
}

func checkSpace(cfg Config) error {
	have, err := free(cfg.Directory)
	if err != nil {
		return fmt.Errorf("disk: free space of %s: %w", cfg.Directory, err)
	}
	if have < cfg.MinFree {
		return fmt.Errorf("%w: %s has %d MiB, at least %d MiB are needed: make room or lower the limit",
			ErrNoSpace, cfg.Directory, have>>20, cfg.MinFree>>20)
	}
	return nil
}

func makeDirs(path string) error {
	for _, name := range []string{logDir, snapshotDir} {
		if err := os.MkdirAll(filepath.Join(path, name), 0o700); err != nil {
			return err
		}
	}
	return syncDir(path)
}

// Identity tells whose directory it is.
func (d *Directory) Identity() Identity { return d.identity }

// Stores are what raftwire.Open takes.
func (d *Directory) Stores() raftwire.Stores {
	l := &log{WAL: d.wal, segments: d.segments}
	return raftwire.Stores{Log: l, Stable: l, Snapshots: d.snapshots}
}

// Free is how many bytes of the file system may still be written.
func (d *Directory) Free() (uint64, error) { return free(d.path) }

// Close closes the stores and unlocks the directory. Raft must have been shut down.
func (d *Directory) Close() error {
	var problems []error
	if d.wal != nil {
		problems = append(problems, d.wal.Close())
	}
	problems = append(problems, d.meta.Close())
	if d.lock != nil {
		problems = append(problems, d.lock.Close())
	}
	return errors.Join(problems...)
}

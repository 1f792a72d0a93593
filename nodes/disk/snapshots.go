//go:build unix

package disk

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
)

var (
	_ raft.SnapshotStore = (*snapshotStore)(nil)
	_ raft.SnapshotSink  = (*snapshotSink)(nil)
)

const (
	snapshotSuffix  = ".snapshot"
	temporarySuffix = ".tmp"
)

// snapshotStore keeps snapshots as files, one each, the newest two.
type snapshotStore struct {
	path   string
	logger *slog.Logger
	// mu is held while the set of files changes.
	mu sync.Mutex
}

// openSnapshots throws away what was never finished and checks the newest.
func openSnapshots(path string, logger *slog.Logger) (*snapshotStore, error) {
	s := &snapshotStore{path: path, logger: logger}
	unfinished, err := filepath.Glob(filepath.Join(path, "*"+temporarySuffix))
	if err != nil {
		return nil, err
	}
	for _, file := range unfinished {
		if err := os.Remove(file); err != nil {
			return nil, fmt.Errorf("disk: %w", err)
		}
	}
	kept, err := s.List()
	if err != nil {
		return nil, err
	}
	if len(kept) > 0 {
		if err := verify(s.file(kept[0].ID)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *snapshotStore) file(id string) string { return filepath.Join(s.path, id+snapshotSuffix) }

// List lists the snapshots, the newest first.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	names, err := os.ReadDir(s.path)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	var kept []*raft.SnapshotMeta
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), snapshotSuffix) {
			continue
		}
		meta, err := readMeta(filepath.Join(s.path, name.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // replaced by a newer one just now
		}
		if err != nil {
			return nil, err
		}
		if meta.ID+snapshotSuffix != name.Name() {
			return nil, fmt.Errorf("%w: %s says that it is %s", ErrDamaged, filepath.Join(s.path, name.Name()), meta.ID)
		}
		kept = append(kept, meta)
	}
	slices.SortFunc(kept, func(a, b *raft.SnapshotMeta) int {
		return cmp.Or(cmp.Compare(b.Index, a.Index), cmp.Compare(b.Term, a.Term))
	})
	return kept, nil
}

// Open checks a snapshot from its first to its last byte, then opens it.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id != filepath.Base(id) {
		return nil, nil, fmt.Errorf("disk: %q names no snapshot", id)
	}
	file := s.file(id)
	if err := verify(file); err != nil {
		return nil, nil, err
	}
	meta, err := readMeta(file)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("disk: %w", err)
	}
	if _, err := f.Seek(int64(len(snapshotMagic)), io.SeekStart); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("disk: %w", err)
	}
	return meta, &snapshotSource{Reader: bufio.NewReaderSize(io.LimitReader(f, meta.Size), writeBuffer), Closer: f}, nil
}

type snapshotSource struct {
	io.Reader
	io.Closer
}

// Create begins a snapshot in a temporary file.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport,
) (raft.SnapshotSink, error) {
	meta := raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%020d-%020d", index, term), Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex,
	}
	f, err := os.CreateTemp(s.path, meta.ID+"-*"+temporarySuffix)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	sink := &snapshotSink{store: s, meta: meta, f: f, sum: crc32.New(castagnoli)}
	sink.to = bufio.NewWriterSize(io.MultiWriter(f, sink.sum), writeBuffer)
	if _, err := sink.to.WriteString(snapshotMagic); err != nil {
		return nil, errors.Join(fmt.Errorf("disk: %w", err), sink.Cancel())
	}
	return sink, nil
}

// reap removes all but the newest.
func (s *snapshotStore) reap() error {
	kept, err := s.List()
	if err != nil {
		return err
	}
	for _, old := range kept[min(keptSnapshots, len(kept)):] {
		if err := os.Remove(s.file(old.ID)); err != nil {
			return fmt.Errorf("disk: %w", err)
		}
		s.logger.Debug("removed an old snapshot", "id", old.ID)
	}
	return nil
}

// snapshotSink is a snapshot being written.
type snapshotSink struct {
	store *snapshotStore
	meta  raft.SnapshotMeta
	f     *os.File
	to    *bufio.Writer
	sum   hash.Hash32
	ended bool
}

// ID names the snapshot.
func (k *snapshotSink) ID() string { return k.meta.ID }

// Write appends to the snapshot.
func (k *snapshotSink) Write(p []byte) (int, error) {
	if k.ended {
		return 0, os.ErrClosed
	}
	n, err := k.to.Write(p)
	k.meta.Size += int64(n)
	return n, err
}

// Close makes the snapshot durable, then visible, and removes old ones.
func (k *snapshotSink) Close() error {
	if k.ended {
		return nil
	}
	if err := k.finish(); err != nil {
		return errors.Join(fmt.Errorf("disk: finish snapshot %s: %w", k.meta.ID, err), k.Cancel())
	}
	k.ended = true
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	if err := os.Rename(k.f.Name(), k.store.file(k.meta.ID)); err != nil {
		return errors.Join(fmt.Errorf("disk: %w", err), os.Remove(k.f.Name()))
	}
	if err := syncDir(k.store.path); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	return k.store.reap()
}

func (k *snapshotSink) finish() error {
	if err := writeFoot(k.to, k.meta, func() (uint32, error) {
		err := k.to.Flush()
		return k.sum.Sum32(), err
	}); err != nil {
		return err
	}
	if err := k.to.Flush(); err != nil {
		return err
	}
	if err := k.f.Sync(); err != nil {
		return err
	}
	return k.f.Close()
}

// Cancel throws the snapshot away.
func (k *snapshotSink) Cancel() error {
	if k.ended {
		return nil
	}
	k.ended = true
	k.f.Close()
	if err := os.Remove(k.f.Name()); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	return nil
}

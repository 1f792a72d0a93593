package raftwire

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

var (
	_ raft.SnapshotStore = (*snapshotStore)(nil)
	_ raft.SnapshotSink  = (*snapshotSink)(nil)
)

// position is the last entry that a snapshot covers.
type position struct{ index, term uint64 }

// snapshotStore wraps the store of snapshots: it refuses what is not newer than
// what is there (rule U9), and halts rather than returning a store's error.
type snapshotStore struct {
	inner raft.SnapshotStore
	guard *guard
	// publish is held while a snapshot becomes the newest.
	publish sync.Mutex
	last    atomic.Pointer[position]
}

func openSnapshots(inner raft.SnapshotStore, g *guard) (*snapshotStore, error) {
	s := &snapshotStore{inner: inner, guard: g}
	s.last.Store(&position{})
	kept, err := inner.List()
	if err != nil {
		return nil, fmt.Errorf("raftwire: snapshot store: %w", err)
	}
	for _, meta := range kept {
		if meta.Index > s.newest().index {
			s.last.Store(&position{meta.Index, meta.Term})
		}
	}
	return s, nil
}

// newest is the newest durable snapshot's last entry; zero if there is none.
func (s *snapshotStore) newest() position { return *s.last.Load() }

// Create begins a snapshot. The only error is ErrNotNewer.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, trans raft.Transport,
) (raft.SnapshotSink, error) {
	if have := s.newest(); index <= have.index {
		return nil, fmt.Errorf("%w: at %d, have one at %d", ErrNotNewer, index, have.index)
	}
	watch := s.guard.watch("creating a snapshot")
	inner, err := s.inner.Create(version, index, term, configuration, configurationIndex, trans)
	watch.Stop()
	if err != nil {
		s.guard.fatal("snapshot store: creating a snapshot at %d: %v", index, err)
	}
	return &snapshotSink{store: s, inner: inner, at: position{index, term}}, nil
}

// List lists the snapshots, the newest first.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	kept, err := s.inner.List()
	if err != nil {
		s.guard.fatal("snapshot store: %v", err)
	}
	return kept, nil
}

// Open opens a snapshot. It fails only for one that has been replaced meanwhile.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	watch := s.guard.watch("opening a snapshot")
	meta, source, err := s.inner.Open(id)
	watch.Stop()
	if err == nil {
		return meta, source, nil
	}
	kept, _ := s.List()
	if slices.ContainsFunc(kept, func(m *raft.SnapshotMeta) bool { return m.ID == id }) {
		s.guard.fatal("snapshot store: opening %s: %v", id, err)
	}
	return nil, nil, fmt.Errorf("raftwire: snapshot %s was replaced by a newer one: %w", id, err)
}

// snapshotSink is a snapshot being written.
type snapshotSink struct {
	store *snapshotStore
	inner raft.SnapshotSink
	at    position
	// ended is set by the first Close or Cancel; both are called again after it.
	ended  bool
	result error
}

// ID names the snapshot.
func (s *snapshotSink) ID() string { return s.inner.ID() }

// Write appends to the snapshot; it never fails.
func (s *snapshotSink) Write(p []byte) (int, error) {
	watch := s.store.guard.watch("writing a snapshot")
	n, err := s.inner.Write(p)
	watch.Stop()
	if err != nil {
		s.store.guard.fatal("snapshot store: writing the snapshot at %d: %v", s.at.index, err)
	}
	return n, nil
}

// Close makes the snapshot durable and the newest one. The only error is
// ErrNotNewer, if another became that meanwhile. Raft calls it a second time,
// which does nothing.
func (s *snapshotSink) Close() error {
	if !s.ended {
		s.result = s.finish()
		s.ended = true
	}
	return s.result
}

func (s *snapshotSink) finish() error {
	s.store.publish.Lock()
	defer s.store.publish.Unlock()
	if have := s.store.newest(); s.at.index <= have.index {
		s.Cancel()
		return fmt.Errorf("%w: at %d, have one at %d", ErrNotNewer, s.at.index, have.index)
	}
	watch := s.store.guard.watch("finishing a snapshot")
	err := s.inner.Close()
	watch.Stop()
	if err != nil {
		s.store.guard.fatal("snapshot store: finishing the snapshot at %d: %v", s.at.index, err)
	}
	s.store.last.Store(&s.at)
	return nil
}

// Cancel throws the snapshot away, unless it is finished.
func (s *snapshotSink) Cancel() error {
	if s.ended {
		return nil
	}
	s.ended = true
	if err := s.inner.Cancel(); err != nil {
		s.store.guard.fatal("snapshot store: throwing away the snapshot at %d: %v", s.at.index, err)
	}
	return nil
}

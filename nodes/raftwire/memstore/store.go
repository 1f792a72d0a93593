package memstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

var (
	_ raft.LogStore          = (*Store)(nil)
	_ raft.MonotonicLogStore = (*Store)(nil)
	_ raft.StableStore       = (*Store)(nil)
	_ raft.SnapshotStore     = (*Store)(nil)
)

// kept is how many snapshots stay.
const kept = 2

// Store is a node's disk: its log, its stable store and its snapshots. All methods may be called from any goroutine.
type Store struct {
	mu      sync.Mutex
	first   uint64
	entries []raft.Log
	values  map[string][]byte
	// snapshots are in the order of their creation, the newest last.
	snapshots []*snapshot
}

type snapshot struct {
	meta raft.SnapshotMeta
	data []byte
}

// New returns an empty Store.
func New() *Store { return &Store{values: make(map[string][]byte)} }

// IsMonotonic is true: the log has no gaps.
func (s *Store) IsMonotonic() bool { return true }

// FirstIndex is the index of the first entry, 0 if there is none.
func (s *Store) FirstIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return 0, nil
	}
	return s.first, nil
}

// LastIndex is the index of the last entry, 0 if there is none.
func (s *Store) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last(), nil
}

func (s *Store) last() uint64 {
	if len(s.entries) == 0 {
		return 0
	}
	return s.first + uint64(len(s.entries)) - 1
}

// GetLog copies an entry; raft.ErrLogNotFound if there is none.
func (s *Store) GetLog(index uint64, e *raft.Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 || index < s.first || index > s.last() {
		return raft.ErrLogNotFound
	}
	*e = clone(s.entries[index-s.first])
	return nil
}

func clone(e raft.Log) raft.Log {
	e.Data, e.Extensions = bytes.Clone(e.Data), bytes.Clone(e.Extensions)
	return e
}

// StoreLog appends one entry.
func (s *Store) StoreLog(e *raft.Log) error { return s.StoreLogs([]*raft.Log{e}) }

// StoreLogs appends entries, which must continue the log.
func (s *Store) StoreLogs(entries []*raft.Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if last := s.last(); len(s.entries) > 0 && e.Index != last+1 {
			return fmt.Errorf("memstore: entry %d after %d", e.Index, last)
		}
		if len(s.entries) == 0 {
			s.first = e.Index
		}
		s.entries = append(s.entries, clone(*e))
	}
	return nil
}

// DeleteRange deletes entries at the beginning or at the end of the log.
func (s *Store) DeleteRange(first, last uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 || last < s.first || first > s.last() {
		return nil
	}
	first, last = max(first, s.first), min(last, s.last())
	switch {
	case first == s.first:
		s.entries = append([]raft.Log(nil), s.entries[last-s.first+1:]...)
		s.first = last + 1
	case last == s.last():
		s.entries = s.entries[:first-s.first]
	default:
		return fmt.Errorf("memstore: deleting %d to %d would leave a gap", first, last)
	}
	return nil
}

// Corrupt changes the stored data of an entry with change, as rot would; false if
// there is no such entry.
func (s *Store) Corrupt(index uint64, change func(e *raft.Log)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 || index < s.first || index > s.last() {
		return false
	}
	change(&s.entries[index-s.first])
	return true
}

// Set stores a value.
func (s *Store) Set(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[string(key)] = bytes.Clone(value)
	return nil
}

// Get returns a value, nil if there is none.
func (s *Store) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.values[string(key)]), nil
}

// SetUint64 stores a number.
func (s *Store) SetUint64(key []byte, value uint64) error {
	return s.Set(key, fmt.Appendf(nil, "%d", value))
}

// GetUint64 returns a number, 0 if there is none.
func (s *Store) GetUint64(key []byte) (uint64, error) {
	text, _ := s.Get(key)
	if text == nil {
		return 0, nil
	}
	var value uint64
	_, err := fmt.Sscanf(string(text), "%d", &value)
	return value, err
}

// Create begins a snapshot.
func (s *Store) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport,
) (raft.SnapshotSink, error) {
	return &sink{store: s, meta: raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term,
		Configuration: configuration.Clone(), ConfigurationIndex: configurationIndex,
	}}, nil
}

// List lists the snapshots, the newest first.
func (s *Store) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var metas []*raft.SnapshotMeta
	for i := len(s.snapshots) - 1; i >= 0; i-- {
		meta := s.snapshots[i].meta
		metas = append(metas, &meta)
	}
	return metas, nil
}

// Open opens a snapshot.
func (s *Store) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.snapshots {
		if one.meta.ID == id {
			meta := one.meta
			return &meta, io.NopCloser(bytes.NewReader(one.data)), nil
		}
	}
	return nil, nil, fmt.Errorf("memstore: no snapshot %q", id)
}

// sink is a snapshot being written.
type sink struct {
	store *Store
	meta  raft.SnapshotMeta
	data  bytes.Buffer
	ended bool
}

// ID names the snapshot.
func (k *sink) ID() string { return k.meta.ID }

// Write appends to the snapshot.
func (k *sink) Write(p []byte) (int, error) {
	if k.ended {
		return 0, errors.New("memstore: snapshot is finished")
	}
	return k.data.Write(p)
}

// Close makes the snapshot the newest one.
func (k *sink) Close() error {
	if k.ended {
		return nil
	}
	k.ended = true
	k.meta.Size = int64(k.data.Len())
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	all := append(k.store.snapshots, &snapshot{meta: k.meta, data: k.data.Bytes()})
	k.store.snapshots = all[max(0, len(all)-kept):]
	return nil
}

// Cancel throws the snapshot away.
func (k *sink) Cancel() error {
	k.ended = true
	return nil
}

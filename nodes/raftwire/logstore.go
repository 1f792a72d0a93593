package raftwire

import (
	"errors"
	"sync/atomic"

	"github.com/hashicorp/raft"
	"github.com/jonboulle/clockwork"
)

// Raft asks for these by type assertion and changes its ways silently where they
// are missing (rule U11).
var (
	_ raft.LogStore          = (*logStore)(nil)
	_ raft.MonotonicLogStore = (*logStore)(nil)
)

// logStore wraps the store of entries: it seals what is written, checks what is
// read, and halts rather than returning an error.
type logStore struct {
	inner raft.LogStore
	guard *guard
	clock clockwork.Clock
	cache cache

	writes, bytes, nanos, hits, misses atomic.Uint64
}

func newLogStore(inner raft.LogStore, g *guard) *logStore {
	return &logStore{inner: inner, guard: g, clock: g.clock}
}

// IsMonotonic tells what the wrapped store tells: whether it can leave no gaps,
// so that Raft must empty it after an installed snapshot.
func (s *logStore) IsMonotonic() bool {
	m, ok := s.inner.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// FirstIndex is the index of the first entry, 0 if there is none.
func (s *logStore) FirstIndex() (uint64, error) {
	index, err := s.inner.FirstIndex()
	if err != nil {
		s.guard.fatal("log store: first index: %v", err)
	}
	return index, nil
}

// LastIndex is the index of the last entry, 0 if there is none.
func (s *logStore) LastIndex() (uint64, error) {
	index, err := s.inner.LastIndex()
	if err != nil {
		s.guard.fatal("log store: last index: %v", err)
	}
	return index, nil
}

// GetLog reads an entry. The only error is raft.ErrLogNotFound.
func (s *logStore) GetLog(index uint64, e *raft.Log) error {
	if s.cache.get(index, e) {
		s.hits.Add(1)
		return nil
	}
	s.misses.Add(1)
	watch := s.guard.watch("reading from the log store")
	err := s.inner.GetLog(index, e)
	watch.Stop()
	switch {
	case errors.Is(err, raft.ErrLogNotFound):
		return raft.ErrLogNotFound
	case err != nil:
		s.guard.fatal("log store: reading entry %d: %v", index, err)
	}
	if err := unsealEntry(e, index); err != nil {
		s.guard.fatal("log store: entry %d is %v: this disk can no longer be trusted; "+
			"remove this node from the cluster and add a new one, with a new id and an empty directory", index, err)
	}
	return nil
}

// term tells the term of the entry at index, false if there is no such entry.
func (s *logStore) term(index uint64) (uint64, bool) {
	var e raft.Log
	if err := s.GetLog(index, &e); err != nil {
		return 0, false
	}
	return e.Term, true
}

// StoreLog writes one entry.
func (s *logStore) StoreLog(e *raft.Log) error { return s.StoreLogs([]*raft.Log{e}) }

// StoreLogs writes entries; they are durable when it returns.
func (s *logStore) StoreLogs(entries []*raft.Log) error {
	size := 0
	for _, e := range entries {
		size += len(e.Data) + entryTrailer
	}
	slab := make([]byte, 0, size)
	sealed := make([]raft.Log, len(entries))
	pointers := make([]*raft.Log, len(entries))
	for i, e := range entries {
		begin := len(slab)
		slab = sealEntry(slab, e)
		sealed[i] = *e
		sealed[i].Data = slab[begin:len(slab):len(slab)]
		pointers[i] = &sealed[i]
	}
	begun := s.clock.Now()
	watch := s.guard.watch("writing to the log store")
	err := s.inner.StoreLogs(pointers)
	watch.Stop()
	if err != nil {
		s.guard.fatal("log store: writing %d entries: %v; the outcome is unknown until the restart", len(entries), err)
	}
	s.nanos.Add(uint64(s.clock.Since(begun)))
	s.writes.Add(1)
	s.bytes.Add(uint64(size))
	s.cache.put(entries)
	return nil
}

// DeleteRange removes the entries from first to last.
func (s *logStore) DeleteRange(first, last uint64) error {
	s.cache.drop(first, last)
	watch := s.guard.watch("deleting from the log store")
	err := s.inner.DeleteRange(first, last)
	watch.Stop()
	if err != nil {
		s.guard.fatal("log store: deleting entries %d to %d: %v", first, last, err)
	}
	return nil
}

package raftwire

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

var _ raft.StableStore = (*stableStore)(nil)

// The keys that Raft uses. A test asserts that it uses no others.
const (
	keyCurrentTerm = "CurrentTerm"
	keyVoteTerm    = "LastVoteTerm"
	keyVoteFor     = "LastVoteCand"
	// keyVote is ours: the vote's term (8 bytes, big endian) and the candidate.
	keyVote = "lockstep.vote"
)

// stableStore wraps the store of term and vote. Raft writes a vote as two values,
// first its term, then the candidate; a crash in between would leave the new term
// beside the old candidate, and Raft would then vote a second time in that term
// for that candidate, whatever its log is. Here the term waits in memory for the
// candidate and both are one record (rule U2).
type stableStore struct {
	inner raft.StableStore
	guard *guard

	mu     sync.Mutex
	term   uint64
	vote   vote
	begun  uint64
	begins bool
	writes uint64
}

type vote struct {
	term      uint64
	candidate []byte
}

// openStable reads term and vote.
func openStable(inner raft.StableStore, g *guard) (*stableStore, error) {
	s := &stableStore{inner: inner, guard: g}
	term, err := s.load(keyCurrentTerm, 8)
	if err != nil {
		return nil, err
	}
	if term != nil {
		s.term = binary.BigEndian.Uint64(term)
	}
	record, err := s.load(keyVote, 9)
	if err != nil {
		return nil, err
	}
	if record != nil {
		s.vote = vote{term: binary.BigEndian.Uint64(record), candidate: record[8:]}
	}
	return s, nil
}

// load returns a value of at least least bytes, nil if there is none.
func (s *stableStore) load(key string, least int) ([]byte, error) {
	sealed, err := s.inner.Get([]byte(key))
	// Stores differ: some return an error for a key that is not there.
	if (err != nil && err.Error() == "not found") || (err == nil && len(sealed) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("raftwire: stable store: reading %s: %w", key, err)
	}
	data, err := unsealValue(key, sealed)
	if err != nil {
		return nil, fmt.Errorf("raftwire: stable store: %s is %w", key, err)
	}
	if len(data) < least {
		return nil, fmt.Errorf("raftwire: stable store: %s is %w: %d bytes are too few", key, errSeal, len(data))
	}
	return data, nil
}

// SetUint64 writes the current term, or begins a vote.
func (s *stableStore) SetUint64(key []byte, value uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyCurrentTerm:
		if value < s.term {
			s.guard.fatal("stable store: the term would go back from %d to %d", s.term, value)
		}
		if value == s.term {
			return nil
		}
		s.save(keyCurrentTerm, binary.BigEndian.AppendUint64(nil, value))
		s.term = value
	case keyVoteTerm:
		s.begun, s.begins = value, true
	default:
		s.guard.fatal("stable store: Raft writes an unknown key %q", key)
	}
	return nil
}

// Set writes the vote that SetUint64 began.
func (s *stableStore) Set(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(key) != keyVoteFor || !s.begins || len(value) == 0 {
		s.guard.fatal("stable store: Raft writes key %q in an unknown order", key)
	}
	next := vote{term: s.begun, candidate: append([]byte(nil), value...)}
	if next.term < s.vote.term || next.term == s.vote.term && string(next.candidate) != string(s.vote.candidate) {
		s.guard.fatal("stable store: a vote in term %d for %s after one in term %d for %s",
			next.term, next.candidate, s.vote.term, s.vote.candidate)
	}
	s.save(keyVote, append(binary.BigEndian.AppendUint64(nil, next.term), next.candidate...))
	s.vote, s.begins = next, false
	return nil
}

// save returns when the value is durable.
func (s *stableStore) save(key string, data []byte) {
	watch := s.guard.watch("writing to the stable store")
	err := s.inner.Set([]byte(key), sealValue(key, data))
	watch.Stop()
	if err != nil {
		s.guard.fatal("stable store: writing %s: %v", key, err)
	}
	s.writes++
}

// GetUint64 returns the current term or the term of the last vote, 0 if none.
func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyCurrentTerm:
		return s.term, nil
	case keyVoteTerm:
		return s.vote.term, nil
	}
	s.guard.fatal("stable store: Raft reads an unknown key %q", key)
	return 0, nil
}

// Get returns the candidate of the last vote, nil if none.
func (s *stableStore) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(key) != keyVoteFor {
		s.guard.fatal("stable store: Raft reads an unknown key %q", key)
	}
	return s.vote.candidate, nil
}

func (s *stableStore) writeCount() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

package raftwire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"lockstep/nodes/raftwire/memstore"
)

func entries(first uint64, terms ...uint64) []*raft.Log {
	var all []*raft.Log
	for i, term := range terms {
		index := first + uint64(i)
		all = append(all, &raft.Log{Index: index, Term: term, Data: fmt.Appendf(nil, "entry %d", index)})
	}
	return all
}

func logOf(t *testing.T, h *halts, store raft.LogStore, first uint64, terms ...uint64) *logStore {
	t.Helper()
	s := newLogStore(store, testGuard(h))
	require.NoError(t, s.StoreLogs(entries(first, terms...)))
	return s
}

func TestU8_WhatIsReadIsWhatWasWritten(t *testing.T) {
	h := newHalts()
	disk := memstore.New()
	logOf(t, h, disk, 1, 1, 1, 2)
	// A fresh wrapper has no cache: it reads the store.
	s := newLogStore(disk, testGuard(h))
	for _, want := range entries(1, 1, 1, 2) {
		var got raft.Log
		mustNotHalt(t, h, func() { require.NoError(t, s.GetLog(want.Index, &got)) })
		require.Equal(t, want.Data, got.Data)
		require.Equal(t, want.Term, got.Term)
	}
	require.ErrorIs(t, s.GetLog(4, new(raft.Log)), raft.ErrLogNotFound)
	require.Zero(t, s.hits.Load())
}

func TestU8_EveryBadByteHalts(t *testing.T) {
	for name, change := range map[string]func(e *raft.Log){
		"in the data":      func(e *raft.Log) { e.Data[0] ^= 1 },
		"in the trailer":   func(e *raft.Log) { e.Data[len(e.Data)-6] ^= 1 },
		"in the checksum":  func(e *raft.Log) { e.Data[len(e.Data)-1] ^= 1 },
		"in the extension": func(e *raft.Log) { e.Extensions = []byte{1} },
		"in the term":      func(e *raft.Log) { e.Term++ },
		"in the type":      func(e *raft.Log) { e.Type = raft.LogNoop },
		"in the index":     func(e *raft.Log) { e.Index++ },
		"cut off":          func(e *raft.Log) { e.Data = e.Data[:5] },
		"gone":             func(e *raft.Log) { e.Data = nil },
		"another entry": func(e *raft.Log) {
			other := &raft.Log{Index: 3, Term: 1, Data: []byte("entry 3")}
			*e = raft.Log{Index: 2, Term: 1, Data: sealEntry(nil, other)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHalts()
			disk := memstore.New()
			logOf(t, h, disk, 1, 1, 1, 1)
			require.True(t, disk.Corrupt(2, change))
			s := newLogStore(disk, testGuard(h))
			mustHalt(t, h, "entry 2 is damaged", func() { s.GetLog(2, new(raft.Log)) })
		})
	}
}

func TestU8_NoStoreErrorReachesRaft(t *testing.T) {
	snapshot := func(b *brokenSnapshots, g *guard) *snapshotStore {
		s := &snapshotStore{inner: b, guard: g}
		s.last.Store(&position{})
		return s
	}
	create := func(s *snapshotStore) raft.SnapshotSink {
		sink, err := s.Create(1, 10, 1, raft.Configuration{}, 1, nil)
		if err != nil {
			panic(err)
		}
		return sink
	}
	for name, run := range map[string]func(g *guard){
		"append":      func(g *guard) { newLogStore(&brokenLog{store: fails}, g).StoreLogs(entries(1, 1)) },
		"append one":  func(g *guard) { newLogStore(&brokenLog{store: fails}, g).StoreLog(entries(1, 1)[0]) },
		"read":        func(g *guard) { newLogStore(&brokenLog{get: fails}, g).GetLog(1, new(raft.Log)) },
		"delete":      func(g *guard) { newLogStore(&brokenLog{remove: fails}, g).DeleteRange(1, 2) },
		"first index": func(g *guard) { newLogStore(&brokenLog{bounds: fails}, g).FirstIndex() },
		"last index":  func(g *guard) { newLogStore(&brokenLog{bounds: fails}, g).LastIndex() },
		"term": func(g *guard) {
			s := &stableStore{inner: &brokenStable{set: func(string) error { return errDisk }}, guard: g}
			s.SetUint64([]byte(keyCurrentTerm), 5)
		},
		"vote": func(g *guard) {
			s := &stableStore{inner: &brokenStable{set: func(string) error { return errDisk }}, guard: g}
			s.SetUint64([]byte(keyVoteTerm), 5)
			s.Set([]byte(keyVoteFor), []byte("n1"))
		},
		"create a snapshot": func(g *guard) { create(snapshot(&brokenSnapshots{create: fails}, g)) },
		"write a snapshot": func(g *guard) {
			create(snapshot(&brokenSnapshots{SnapshotStore: memstore.New(), write: fails}, g)).Write([]byte("x"))
		},
		"finish a snapshot": func(g *guard) {
			create(snapshot(&brokenSnapshots{SnapshotStore: memstore.New(), finish: fails}, g)).Close()
		},
		"list snapshots": func(g *guard) { snapshot(&brokenSnapshots{list: fails}, g).List() },
		"open a snapshot": func(g *guard) {
			disk := memstore.New()
			s := snapshot(&brokenSnapshots{SnapshotStore: disk, open: fails}, g)
			sink := create(s)
			sink.Close()
			s.Open(sink.ID())
		},
		"restore a snapshot": func(g *guard) {
			(&fsm{guard: g}).Restore(io.NopCloser(bytes.NewReader([]byte("nonsense, and enough of it for a head"))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHalts()
			mustHalt(t, h, "", func() { run(testGuard(h)) })
			require.NotEmpty(t, h.reason())
		})
	}
}

func TestU5_AStalledWriteHaltsAfterItsDeadline(t *testing.T) {
	for name, run := range map[string]func(g *guard, stall func() error){
		"append": func(g *guard, stall func() error) {
			newLogStore(&brokenLog{LogStore: memstore.New(), store: stall}, g).StoreLogs(entries(1, 1))
		},
		"delete": func(g *guard, stall func() error) {
			newLogStore(&brokenLog{LogStore: memstore.New(), remove: stall}, g).DeleteRange(1, 1)
		},
		"read": func(g *guard, stall func() error) {
			newLogStore(&brokenLog{LogStore: memstore.New(), get: stall}, g).GetLog(1, new(raft.Log))
		},
		"vote": func(g *guard, stall func() error) {
			s := &stableStore{inner: &brokenStable{StableStore: memstore.New(), set: func(string) error { return stall() }}, guard: g}
			s.SetUint64([]byte(keyCurrentTerm), 5)
		},
		"snapshot": func(g *guard, stall func() error) {
			s := &snapshotStore{inner: &brokenSnapshots{SnapshotStore: memstore.New(), finish: stall}, guard: g}
			s.last.Store(&position{})
			sink, _ := s.Create(1, 10, 1, raft.Configuration{}, 1, nil)
			sink.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock, h := clockwork.NewFakeClock(), newHalts()
			stalled, free := make(chan struct{}), make(chan struct{})
			g := &guard{clock: clock, deadline: 10 * time.Second, halt: h.halt}
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				run(g, func() error { close(stalled); <-free; return raft.ErrLogNotFound })
			}()
			<-stalled
			clock.Advance(10*time.Second - 1)
			require.Empty(t, h.reason())
			clock.Advance(1)
			<-h.first
			require.Contains(t, h.reason(), "has taken longer than 10s: the disk is stalled")
			close(free)
			<-returned
		})
	}
}

func TestU5_AWriteInTimeDoesNotHalt(t *testing.T) {
	clock, h := clockwork.NewFakeClock(), newHalts()
	s := newLogStore(memstore.New(), &guard{clock: clock, deadline: time.Second, halt: h.halt})
	require.NoError(t, s.StoreLogs(entries(1, 1, 1)))
	clock.Advance(time.Hour)
	require.Empty(t, h.reason())
}

func TestU2_VoteIsOneRecord(t *testing.T) {
	h := newHalts()
	disk := &brokenStable{StableStore: memstore.New()}
	s, err := openStable(disk, testGuard(h))
	require.NoError(t, err)
	writes := func() int {
		n := 0
		disk.keys.Range(func(any, any) bool { n++; return true })
		return n
	}
	require.NoError(t, s.SetUint64([]byte(keyVoteTerm), 7))
	require.Zero(t, writes(), "the term alone is not written")
	require.NoError(t, s.Set([]byte(keyVoteFor), []byte("n2")))
	require.Equal(t, 1, writes())

	again, err := openStable(disk, testGuard(h))
	require.NoError(t, err)
	requireVote(t, again, 7, "n2")
}

func requireVote(t *testing.T, s *stableStore, term uint64, candidate string) {
	t.Helper()
	gotTerm, err := s.GetUint64([]byte(keyVoteTerm))
	require.NoError(t, err)
	gotCandidate, err := s.Get([]byte(keyVoteFor))
	require.NoError(t, err)
	require.Equal(t, term, gotTerm)
	require.Equal(t, candidate, string(gotCandidate))
}

func TestU2_CrashBetweenTheWritesLeavesTheOldVote(t *testing.T) {
	h := newHalts()
	disk := memstore.New()
	s, err := openStable(disk, testGuard(h))
	require.NoError(t, err)
	require.NoError(t, s.SetUint64([]byte(keyVoteTerm), 3))
	require.NoError(t, s.Set([]byte(keyVoteFor), []byte("n1")))
	// Term 4, then the crash. The plain wiring would leave (4, n1): a vote in term
	// 4 that was never given, and that n1 would be granted without a look at its log.
	require.NoError(t, s.SetUint64([]byte(keyVoteTerm), 4))

	again, err := openStable(disk, testGuard(h))
	require.NoError(t, err)
	requireVote(t, again, 3, "n1")
}

func TestU2_ImpossibleVotesHalt(t *testing.T) {
	for name, run := range map[string]func(s *stableStore){
		"a second vote in the term": func(s *stableStore) {
			s.SetUint64([]byte(keyVoteTerm), 3)
			s.Set([]byte(keyVoteFor), []byte("n2"))
		},
		"a vote in an earlier term": func(s *stableStore) {
			s.SetUint64([]byte(keyVoteTerm), 2)
			s.Set([]byte(keyVoteFor), []byte("n1"))
		},
		"a candidate without a term": func(s *stableStore) { s.Set([]byte(keyVoteFor), []byte("n1")) },
		"a term that goes back":      func(s *stableStore) { s.SetUint64([]byte(keyCurrentTerm), 1) },
		"an unknown key":             func(s *stableStore) { s.SetUint64([]byte("LastElection"), 1) },
		"reading an unknown key":     func(s *stableStore) { s.Get([]byte("LastElection")) },
		"reading an unknown number":  func(s *stableStore) { s.GetUint64([]byte("LastElection")) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHalts()
			s, err := openStable(memstore.New(), testGuard(h))
			require.NoError(t, err)
			require.NoError(t, s.SetUint64([]byte(keyCurrentTerm), 3))
			require.NoError(t, s.SetUint64([]byte(keyVoteTerm), 3))
			require.NoError(t, s.Set([]byte(keyVoteFor), []byte("n1")))
			mustHalt(t, h, "stable store", func() { run(s) })
		})
	}
}

func TestDamagedTermOrVoteIsRefusedAtTheStart(t *testing.T) {
	for _, key := range []string{keyCurrentTerm, keyVote} {
		for name, change := range map[string]func([]byte) []byte{
			"flipped bit": func(b []byte) []byte { b[0] ^= 1; return b },
			"cut off":     func(b []byte) []byte { return b[:3] },
			"other key's": func([]byte) []byte { return sealValue("other", make([]byte, 12)) },
			"too short":   func([]byte) []byte { return sealValue(key, []byte{1}) },
		} {
			t.Run(key+" "+name, func(t *testing.T) {
				h := newHalts()
				disk := memstore.New()
				s, err := openStable(disk, testGuard(h))
				require.NoError(t, err)
				require.NoError(t, s.SetUint64([]byte(keyCurrentTerm), 3))
				require.NoError(t, s.SetUint64([]byte(keyVoteTerm), 3))
				require.NoError(t, s.Set([]byte(keyVoteFor), []byte("n1")))
				sealed, _ := disk.Get([]byte(key))
				disk.Set([]byte(key), change(sealed))
				_, err = openStable(disk, testGuard(h))
				require.ErrorIs(t, err, errSeal)
			})
		}
	}
}

func TestTermThatDidNotChangeIsNotWritten(t *testing.T) {
	s, err := openStable(memstore.New(), testGuard(newHalts()))
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, s.SetUint64([]byte(keyCurrentTerm), 9))
	}
	require.EqualValues(t, 1, s.writeCount())
}

func TestStableStoresThatSayNotFound(t *testing.T) {
	_, err := openStable(sayingNotFound{memstore.New()}, testGuard(newHalts()))
	require.NoError(t, err)
}

type sayingNotFound struct{ raft.StableStore }

func (sayingNotFound) Get([]byte) ([]byte, error) { return nil, errors.New("not found") }

func TestCacheAnswersLikeTheStore(t *testing.T) {
	h := newHalts()
	disk := memstore.New()
	s := newLogStore(disk, testGuard(h))
	big := &raft.Log{Index: 1, Term: 1, Data: make([]byte, maxCachedEntry+1)}
	require.NoError(t, s.StoreLog(big))
	for index := uint64(2); index <= cacheEntries+10; index++ {
		require.NoError(t, s.StoreLogs(entries(index, 1)))
	}
	require.NoError(t, s.DeleteRange(cacheEntries, cacheEntries+10))
	require.NoError(t, s.StoreLogs(entries(cacheEntries, 2)))
	plain := newLogStore(disk, testGuard(h))
	for index := uint64(0); index <= cacheEntries+11; index++ {
		var cached, stored raft.Log
		cachedErr, storedErr := s.GetLog(index, &cached), plain.GetLog(index, &stored)
		require.Equal(t, storedErr, cachedErr, "index %d", index)
		require.Equal(t, stored, cached, "index %d", index)
	}
	require.NotZero(t, s.hits.Load())
	require.NotZero(t, s.misses.Load())
}

func TestU4_JoinAtTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		first   uint64
		terms   []uint64
		newest  position
		deleted bool
		refused bool
	}{
		"empty":                          {},
		"no snapshot":                    {first: 1, terms: []uint64{1, 1}},
		"only a snapshot":                {newest: position{8, 2}},
		"log goes on after the snapshot": {first: 9, terms: []uint64{2}, newest: position{8, 2}},
		"log holds the snapshot's end":   {first: 6, terms: []uint64{2, 2, 2, 3}, newest: position{8, 2}},
		"log ends with the snapshot":     {first: 6, terms: []uint64{2, 2, 2}, newest: position{8, 2}},
		"log ends before the snapshot":   {first: 1, terms: []uint64{1, 1, 2}, newest: position{8, 2}, deleted: true},
		"another entry in its place":     {first: 6, terms: []uint64{1, 1, 1, 1}, newest: position{8, 2}, deleted: true},
		"a gap":                          {first: 10, terms: []uint64{2}, newest: position{8, 2}, refused: true},
		"the snapshot is lost":           {first: 2, terms: []uint64{2}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHalts()
			disk := memstore.New()
			disk.Set([]byte("term"), []byte("stays"))
			s := logOf(t, h, disk, c.first, c.terms...)
			err := joinLog(s, c.newest, quiet())
			if c.refused {
				require.ErrorIs(t, err, ErrGap)
				return
			}
			require.NoError(t, err)
			last, _ := s.LastIndex()
			if c.deleted || len(c.terms) == 0 {
				require.Zero(t, last)
			} else {
				require.Equal(t, c.first+uint64(len(c.terms))-1, last)
			}
			kept, _ := disk.Get([]byte("term"))
			require.Equal(t, "stays", string(kept))
		})
	}
}

func TestU9_SnapshotStoreRefusesWhatIsNotNewer(t *testing.T) {
	h := newHalts()
	s, err := openSnapshots(memstore.New(), testGuard(h))
	require.NoError(t, err)
	begin := func(index uint64) (raft.SnapshotSink, error) {
		return s.Create(1, index, 2, raft.Configuration{}, 1, nil)
	}
	slow, err := begin(50)
	require.NoError(t, err)
	fast, err := begin(100)
	require.NoError(t, err)
	require.NoError(t, fast.Close())
	require.ErrorIs(t, slow.Close(), ErrNotNewer, "one that was overtaken while it was written")
	for _, index := range []uint64{50, 100} {
		_, err := begin(index)
		require.ErrorIs(t, err, ErrNotNewer)
	}
	require.Equal(t, position{100, 2}, s.newest())
	kept, err := s.List()
	require.NoError(t, err)
	require.Len(t, kept, 1)
	_, _, err = s.Open("gone")
	require.Error(t, err, "one that is not there any more is no reason to halt")
	require.Empty(t, h.reason())
}

func TestU11_WrappersKeepOptionalInterfaces(t *testing.T) {
	require.True(t, newLogStore(memstore.New(), testGuard(newHalts())).IsMonotonic())
	require.False(t, newLogStore(raft.NewInmemStore(), testGuard(newHalts())).IsMonotonic())
	var transport raft.Transport = new(Transport)
	_, preVote := transport.(raft.WithPreVote)
	require.True(t, preVote)
	_, closes := transport.(raft.WithClose)
	require.True(t, closes)
}

func TestU3_TransferFlagThatSticks(t *testing.T) {
	clock, h := clockwork.NewFakeClock(), newHalts()
	fresh := func() *transfers {
		return &transfers{clock: clock, bound: 15 * time.Second, guard: &guard{clock: clock, deadline: time.Minute, halt: h.halt}}
	}
	refuse := func(w *transfers, times int) {
		for range times {
			mustNotHalt(t, h, func() { w.note(true) })
			clock.Advance(time.Second)
		}
	}
	t.Run("an accepted proposal is proof of life", func(t *testing.T) {
		w := fresh()
		refuse(w, 15)
		w.note(false)
		refuse(w, 15)
	})
	t.Run("after a pause it is another transfer", func(t *testing.T) {
		w := fresh()
		refuse(w, 15)
		clock.Advance(transferGap)
		refuse(w, 15)
	})
	t.Run("refused beyond the bound", func(t *testing.T) {
		w := fresh()
		refuse(w, 16)
		mustHalt(t, h, "leadership transfer that does not end", func() { w.note(true) })
	})
}

func TestImage(t *testing.T) {
	write := func() []byte {
		var b bytes.Buffer
		require.NoError(t, WriteImage(&b, 77, 5, text("the state")))
		return b.Bytes()
	}
	read := func(data []byte, all bool) (string, error) {
		var got string
		err := ReadImage(bytes.NewReader(data), func(index, term uint64, r io.Reader) error {
			if !all {
				return nil
			}
			b, err := io.ReadAll(r)
			got = fmt.Sprintf("%d %d %s", index, term, b)
			return err
		})
		return got, err
	}
	got, err := read(write(), true)
	require.NoError(t, err)
	require.Equal(t, "77 5 the state", got)
	require.Equal(t, write(), write(), "equal states give equal bytes")
	_, err = read(write(), false)
	require.ErrorIs(t, err, ErrBadSnapshot, "an image that was not read to its end")
	for i := range write() {
		data := write()
		data[i] ^= 0x10
		got, err := read(data, true)
		require.False(t, err == nil && got != "77 5 the state", "flipped byte %d went unnoticed: %q", i, got)
		_, err = read(write()[:i], true)
		require.Error(t, err, "cut off at %d", i)
	}
}

type text string

func (s text) WriteSnapshot(w io.Writer) error {
	_, err := io.WriteString(w, string(s))
	return err
}

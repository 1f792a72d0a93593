package raftwire

import (
	"errors"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
)

// halts is a Halt that ends the calling goroutine, as a simulated crash does.
type halts struct {
	mu      sync.Mutex
	reasons []string
	first   chan struct{}
}

func newHalts() *halts { return &halts{first: make(chan struct{})} }

func (h *halts) halt(reason string) {
	h.mu.Lock()
	h.reasons = append(h.reasons, reason)
	if len(h.reasons) == 1 {
		close(h.first)
	}
	h.mu.Unlock()
	runtime.Goexit()
}

func (h *halts) reason() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.reasons) == 0 {
		return ""
	}
	return h.reasons[0]
}

// mustHalt runs f and requires that it halts with a reason that contains text.
func mustHalt(t *testing.T, h *halts, text string, f func()) {
	t.Helper()
	returned := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
		returned = true
	}()
	<-done
	require.False(t, returned, "the call returned although it should have halted")
	require.Contains(t, h.reason(), text)
}

// mustNotHalt runs f and requires that it returns.
func mustNotHalt(t *testing.T, h *halts, f func()) {
	t.Helper()
	returned := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
		returned = true
	}()
	<-done
	require.True(t, returned, "halted: %s", h.reason())
}

func testGuard(h *halts) *guard {
	return &guard{clock: clockwork.NewRealClock(), deadline: time.Minute, halt: h.halt}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// waitLong and waitStep bound waiting for something that happens elsewhere.
const (
	waitLong = 20 * time.Second
	waitStep = 2 * time.Millisecond
)

// errDisk is what broken disks say.
var errDisk = errors.New("input/output error")

// brokenLog fails or blocks as told; nil fields pass through.
type brokenLog struct {
	raft.LogStore
	store, get, bounds, remove func() error
}

func try(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

func (b *brokenLog) IsMonotonic() bool { return true }

func (b *brokenLog) FirstIndex() (uint64, error) {
	if err := try(b.bounds); err != nil {
		return 0, err
	}
	return b.LogStore.FirstIndex()
}

func (b *brokenLog) LastIndex() (uint64, error) {
	if err := try(b.bounds); err != nil {
		return 0, err
	}
	return b.LogStore.LastIndex()
}

func (b *brokenLog) GetLog(index uint64, e *raft.Log) error {
	if err := try(b.get); err != nil {
		return err
	}
	return b.LogStore.GetLog(index, e)
}

func (b *brokenLog) StoreLogs(entries []*raft.Log) error {
	if err := try(b.store); err != nil {
		return err
	}
	return b.LogStore.StoreLogs(entries)
}

func (b *brokenLog) DeleteRange(first, last uint64) error {
	if err := try(b.remove); err != nil {
		return err
	}
	return b.LogStore.DeleteRange(first, last)
}

// brokenStable fails as told and records the keys that are used.
type brokenStable struct {
	raft.StableStore
	set  func(key string) error
	keys sync.Map
}

func (b *brokenStable) Set(key, value []byte) error {
	b.keys.Store(string(key), true)
	if b.set != nil {
		if err := b.set(string(key)); err != nil {
			return err
		}
	}
	return b.StableStore.Set(key, value)
}

// brokenSnapshots fails as told.
type brokenSnapshots struct {
	raft.SnapshotStore
	create, write, finish, list, open func() error
}

func (b *brokenSnapshots) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	if err := try(b.create); err != nil {
		return nil, err
	}
	sink, err := b.SnapshotStore.Create(version, index, term, c, ci, trans)
	return &brokenSink{sink, b}, err
}

func (b *brokenSnapshots) List() ([]*raft.SnapshotMeta, error) {
	if err := try(b.list); err != nil {
		return nil, err
	}
	return b.SnapshotStore.List()
}

func (b *brokenSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if err := try(b.open); err != nil {
		return nil, nil, err
	}
	return b.SnapshotStore.Open(id)
}

type brokenSink struct {
	raft.SnapshotSink
	b *brokenSnapshots
}

func (s *brokenSink) Write(p []byte) (int, error) {
	if err := try(s.b.write); err != nil {
		return 0, err
	}
	return s.SnapshotSink.Write(p)
}

func (s *brokenSink) Close() error {
	if err := try(s.b.finish); err != nil {
		return err
	}
	return s.SnapshotSink.Close()
}

func fails() error { return errDisk }

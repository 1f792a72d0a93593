package replica

import (
	"container/heap"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"lockstep/engine"
	"lockstep/nodes/raftwire"
)

// DigestEvery is after how many entries the digest of the state is noted, for
// comparison between replicas.
const DigestEvery = 1024

// Applied is an entry and what it did. It is shared: nobody may change it.
type Applied struct {
	Entry   engine.Entry
	Outcome engine.Outcome
}

// Sink is told of every applied entry, in order, while the replica is locked: it
// must be quick, and must not call the replica.
type Sink interface {
	// Applied is called with the engine as it is right after the entry.
	Applied(e *engine.Engine, a *Applied)
	// Restored is called when the state was replaced as a whole.
	Restored(e *engine.Engine)
}

// Digest is the digest of the state at an index.
type Digest struct {
	Index uint64
	Sum   uint64
}

// Replica is the engine behind a lock. All methods may be called from any
// goroutine.
type Replica struct {
	cfg    engine.Config
	logger *slog.Logger
	halt   func(reason string)

	mu      sync.RWMutex
	engine  *engine.Engine
	sinks   []Sink
	waiting indexOrder
	digest  Digest
}

var _ raftwire.Machine = (*Replica)(nil)

// New returns a replica with an empty engine. halt is called with a reason when
// the log holds what cannot be applied; it does not return.
func New(cfg engine.Config, logger *slog.Logger, halt func(reason string)) (*Replica, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Replica{cfg: cfg, logger: logger, halt: halt, engine: engine.New(cfg)}, nil
}

// Subscribe adds a sink; before Raft is opened, so that it misses nothing.
func (r *Replica) Subscribe(s Sink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sinks = append(r.sinks, s)
}

// Apply implements raftwire.Machine. It returns *Applied.
func (r *Replica) Apply(index, term uint64, data []byte) any {
	entry, err := DecodeEntry(index, term, data)
	if err != nil {
		r.halt(fmt.Sprintf("entry %d of term %d cannot be applied: %v (state digest %016x at index %d)",
			index, term, err, r.Digest().Sum, r.Digest().Index))
	}
	applied := &Applied{Entry: entry}
	r.mu.Lock()
	applied.Outcome = r.engine.Apply(applied.Entry)
	r.noteDigest(index)
	for _, s := range r.sinks {
		s.Applied(r.engine, applied)
	}
	reached := r.waiting.upTo(index)
	r.mu.Unlock()
	call(reached)
	return applied
}

// NoteConfiguration implements raftwire.Machine: configuration entries count, so
// that a read that waits for their index does not wait for ever.
func (r *Replica) NoteConfiguration(index uint64) {
	r.mu.Lock()
	r.engine.NoteIndex(index)
	r.noteDigest(index)
	reached := r.waiting.upTo(index)
	r.mu.Unlock()
	call(reached)
}

func (r *Replica) noteDigest(index uint64) {
	if index/DigestEvery != r.digest.Index/DigestEvery {
		r.digest = Digest{Index: index, Sum: r.engine.Digest()}
	}
}

// Snapshot implements raftwire.Machine.
func (r *Replica) Snapshot() (raftwire.Image, error) { return r.View(), nil }

// Restore implements raftwire.Machine: the state is replaced, never merged, and
// only when all of it has been read.
func (r *Replica) Restore(index, term uint64, src io.Reader) error {
	restored, err := engine.Restore(src, r.cfg)
	if err != nil {
		return fmt.Errorf("replica: restore the snapshot at index %d, term %d: %w", index, term, err)
	}
	restored.NoteIndex(index)
	r.mu.Lock()
	r.engine = restored
	r.digest = Digest{Index: index, Sum: restored.Digest()}
	for _, s := range r.sinks {
		s.Restored(restored)
	}
	reached := r.waiting.upTo(index)
	r.mu.Unlock()
	call(reached)
	r.logger.Info("state restored from a snapshot", "index", index, "term", term)
	return nil
}

// Read calls f with the engine, which f must only read, and not keep.
func (r *Replica) Read(f func(e *engine.Engine)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	f(r.engine)
}

// Locked calls f with the engine while nothing is applied and no sink runs, so
// that what f subscribes to goes on right after what it reads.
func (r *Replica) Locked(f func(e *engine.Engine)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.engine)
}

// View is the state as it is now.
func (r *Replica) View() *engine.View {
	r.mu.Lock() // taking a view moves the engine's epoch
	defer r.mu.Unlock()
	return r.engine.View()
}

// Index is that of the last entry that the engine has applied or passed.
func (r *Replica) Index() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.engine.Index()
}

// Digest is the last noted digest.
func (r *Replica) Digest() Digest {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.digest
}

// WhenReached calls f once the engine's index is at least index: at once, or on
// the goroutine that applies; f must be quick.
func (r *Replica) WhenReached(index uint64, f func()) {
	r.mu.Lock()
	if r.engine.Index() < index {
		heap.Push(&r.waiting, indexWaiter{index: index, f: f})
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	f()
}

func call(fs []func()) {
	for _, f := range fs {
		f()
	}
}

package raftwire

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

var (
	_ raft.FSM                = (*fsm)(nil)
	_ raft.ConfigurationStore = (*fsm)(nil)
	_ raft.FSMSnapshot        = fsmImage{}
)

// fsm is the Machine as Raft sees it.
type fsm struct {
	machine   Machine
	guard     *guard
	snapshots *snapshotStore
	applied   atomic.Uint64
}

// applied is what the machine answered, with the term that the entry really got.
type applied struct {
	term     uint64
	response any
}

// Apply executes a committed entry.
func (f *fsm) Apply(e *raft.Log) any {
	response := f.machine.Apply(e.Index, e.Term, e.Data)
	f.applied.Store(e.Index)
	return applied{term: e.Term, response: response}
}

// StoreConfiguration passes a configuration entry.
func (f *fsm) StoreConfiguration(index uint64, _ raft.Configuration) {
	f.machine.NoteConfiguration(index)
	f.applied.Store(index)
}

// Snapshot captures the state; Persist encodes it beside the applies. Raft asks
// again and again after an installed snapshot: it takes an empty log for one that
// is endlessly long.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.applied.Load() <= f.snapshots.newest().index {
		return nil, raft.ErrNothingNewToSnapshot
	}
	image, err := f.machine.Snapshot()
	if err != nil {
		return nil, err
	}
	return fsmImage{image}, nil
}

// Restore replaces the state. A state that could not be restored is neither the
// old nor the new one: the process ends.
func (f *fsm) Restore(source io.ReadCloser) error {
	err := ReadImage(source, func(index, term uint64, image io.Reader) error {
		if err := f.machine.Restore(index, term, image); err != nil {
			return fmt.Errorf("at %d: %w", index, err)
		}
		f.applied.Store(index)
		return nil
	})
	if err != nil {
		f.guard.fatal("restoring a snapshot: %v", err)
	}
	return nil
}

type fsmImage struct{ image Image }

// Persist writes the image to a sink of snapshotStore, which knows its place.
func (s fsmImage) Persist(sink raft.SnapshotSink) error {
	at := sink.(*snapshotSink).at
	if err := WriteImage(sink, at.index, at.term, s.image); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

// Release does nothing: an image is garbage collected.
func (fsmImage) Release() {}

package raftwire

import (
	"context"
	"io"
	"log/slog"

	"github.com/hashicorp/raft"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/peers"
	"lockstep/transport"
	"lockstep/transport/clocks"
)

// Machine is the replicated state machine. Apply, NoteConfiguration, Snapshot and
// Restore are called from one goroutine at a time.
type Machine interface {
	// Apply executes a committed entry; what it returns is what Proposal.Wait
	// returns on the node that proposed it.
	Apply(index, term uint64, data []byte) any
	// NoteConfiguration tells that a configuration entry was passed at index.
	NoteConfiguration(index uint64)
	// Snapshot returns the present state in O(1); it is encoded beside later calls
	// of Apply.
	Snapshot() (Image, error)
	// Restore replaces the state by the one that Image.WriteSnapshot wrote, taken
	// at index. An error stops the node.
	Restore(index, term uint64, r io.Reader) error
}

// Image is a state that can be encoded while the machine goes on.
type Image interface {
	WriteSnapshot(w io.Writer) error
}

// Stores are where Raft keeps what must survive. Open wraps each of them.
type Stores struct {
	Log       raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
}

// Peers opens and accepts streams between nodes; *peers.Manager is one.
type Peers interface {
	Open(ctx context.Context, node string, kind lockstepv1.Hello_Kind, purpose transport.Purpose, hello *lockstepv1.Hello) (*peers.Outbound, error)
	Await(ctx context.Context, node string) error
	Handle(kind lockstepv1.Hello_Kind, purpose transport.Purpose, h peers.Handler)
}

var _ Peers = (*peers.Manager)(nil)

// Deps is what Open is given; all fields are required.
type Deps struct {
	// Peers must not have been started yet: Open registers its handlers.
	Peers   Peers
	Stores  Stores
	Machine Machine
	Clocks  clocks.Clocks
	Logger  *slog.Logger
	// Halt stops the process at once. It must not return.
	Halt func(reason string)
}

// Server is a member of a configuration.
type Server struct {
	Node    string
	Address string
	Voter   bool
}

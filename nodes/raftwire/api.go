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

// Open wires the stores and the transport and starts Raft. It returns when the
// node's term, vote, snapshot and log have been loaded.
func Open(cfg Config, deps Deps) (*Raft, error) { panic("raftwire: being built") }

// Raft is a running Raft node. All methods may be called from any goroutine.
type Raft struct{}

// Bootstrap makes servers the first configuration of a new cluster. Every voter
// may call it, with the same servers. It returns ErrHasState if the node has any.
func (r *Raft) Bootstrap(servers []Server) error { panic("raftwire: being built") }

// Propose hands data to Raft as one entry; data must not be changed afterwards.
// It blocks until Raft's main loop takes it. Entries of one goroutine keep their
// order.
func (r *Raft) Propose(data []byte) *Proposal { panic("raftwire: being built") }

// Proposal is an entry on its way.
type Proposal struct{}

// Done is closed when Wait no longer blocks.
func (p *Proposal) Done() <-chan struct{} { panic("raftwire: being built") }

// Wait returns what Machine.Apply returned and the entry's index, or ErrNotLeader
// (it certainly is not in the log and never will be), ErrTooLarge (the same), or
// ErrUnknownOutcome. It may be called many times.
func (p *Proposal) Wait() (response any, index uint64, err error) { panic("raftwire: being built") }

// Term is the term that the entry got in the log; valid after Wait returned no
// error.
func (p *Proposal) Term() uint64 { panic("raftwire: being built") }

// Term is the node's current term; it was durable before this returns it.
func (r *Raft) Term() uint64 { panic("raftwire: being built") }

// Leading tells whether Raft believes to be leader: a hint, see package tenure.
func (r *Raft) Leading() bool { panic("raftwire: being built") }

// Leader is who this node believes leads; empty when it knows of none.
func (r *Raft) Leader() (node, address string) { panic("raftwire: being built") }

// LeaderChanges gets a value after each change of Leading or Leader; values that
// are not read are merged into one.
func (r *Raft) LeaderChanges() <-chan struct{} { panic("raftwire: being built") }

// CommitIndex is the index up to which this node knows entries to be committed.
func (r *Raft) CommitIndex() uint64 { panic("raftwire: being built") }

// Members is the latest configuration, committed or not: voters and others.
func (r *Raft) Members() []Server { panic("raftwire: being built") }

// Voters are the voters among Members.
func (r *Raft) Voters() []Server { panic("raftwire: being built") }

// AddVoter adds a voter or makes a member one; the leader alone can do it.
func (r *Raft) AddVoter(ctx context.Context, node, address string) error {
	panic("raftwire: being built")
}

// AddNonvoter adds a member that has no vote.
func (r *Raft) AddNonvoter(ctx context.Context, node, address string) error {
	panic("raftwire: being built")
}

// Remove removes a member.
func (r *Raft) Remove(ctx context.Context, node string) error { panic("raftwire: being built") }

// Transfer gives the leadership to node, or to the member that is most up to
// date if node is empty. It returns when this node no longer leads.
func (r *Raft) Transfer(ctx context.Context, node string) error { panic("raftwire: being built") }

// Snapshot takes a snapshot now. ErrNothingNew: the last one is as good.
func (r *Raft) Snapshot(ctx context.Context) error { panic("raftwire: being built") }

// Shutdown stops Raft and its transport; it returns when both have ended or ctx
// does. The stores stay open: they are the caller's.
func (r *Raft) Shutdown(ctx context.Context) error { panic("raftwire: being built") }

// Stats are the node's counters and positions.
func (r *Raft) Stats() Stats { panic("raftwire: being built") }

// Stats is a picture of a Raft node; it is not taken at one instant.
type Stats struct {
	State                     State
	Term                      uint64
	FirstIndex, LastIndex     uint64
	CommitIndex               uint64
	AppliedIndex              uint64
	SnapshotIndex             uint64
	SnapshotTerm              uint64
	Proposals, Refused        uint64
	Installs, InstallsDrained uint64
	LogWrites, LogBytes       uint64
	LogWriteNanos             uint64
	StableWrites              uint64
	CacheHits, CacheMisses    uint64
	RPCsSent, RPCsServed      uint64
	StreamsRefused            uint64
}

// State is the node's role in Raft.
type State uint8

const (
	// Follower follows a leader or waits for one.
	Follower State = 1
	// Candidate asks for votes.
	Candidate State = 2
	// Leader leads, as far as it knows.
	Leader State = 3
	// Stopped has been shut down.
	Stopped State = 4
)

// String is the state's name in lower case.
func (s State) String() string {
	switch s {
	case Follower:
		return "follower"
	case Candidate:
		return "candidate"
	case Leader:
		return "leader"
	case Stopped:
		return "stopped"
	}
	return "unknown"
}

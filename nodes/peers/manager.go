package peers

import (
	"context"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// Manager accepts connections and streams, and keeps one connection to each
// other node. All methods may be called from any goroutine.
type Manager struct {
	cfg  Config
	deps Deps
}

// New returns a Manager; it does nothing until Serve or SetMembers is called,
// and must be closed.
func New(cfg Config, deps Deps) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Manager{cfg: cfg, deps: deps}, nil
}

// Handle makes h serve the streams of this kind and purpose. It must be called
// before Serve and SetMembers; twice for the same pair is a bug and panics.
func (m *Manager) Handle(kind lockstepv1.Hello_Kind, purpose transport.Purpose, h Handler) {
	panic("peers: being built")
}

// Serve accepts connections from l until ctx ends or l is closed, then closes l
// and returns nil, or what made accepting impossible.
func (m *Manager) Serve(ctx context.Context, l transport.Listener) error {
	panic("peers: being built")
}

// Open opens a stream to another node. It fills version, cluster, lineage, kind,
// agent, from_node and to_node of hello, which may be nil. It waits while a dial
// is under way, until ctx ends, and fails at once with ErrNotConnected after one
// that failed. A refusal shows at the first Read.
func (m *Manager) Open(ctx context.Context, node string, kind lockstepv1.Hello_Kind, purpose transport.Purpose, hello *lockstepv1.Hello) (*Outbound, error) {
	panic("peers: being built")
}

// SetMembers says which nodes there are, as node -> address; this node's own
// entry is ignored. Connections to nodes that are gone are closed.
func (m *Manager) SetMembers(members map[string]string) {
	panic("peers: being built")
}

// Close ends everything: connections, dials, streams. Serve returns.
func (m *Manager) Close() {}

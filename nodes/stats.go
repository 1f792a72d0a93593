package nodes

import (
	"lockstep/engine"
	"lockstep/nodes/peers"
	"lockstep/nodes/propose"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/replica"
	"lockstep/nodes/watch"
)

// Stats is a picture of a node; it is not taken at one instant.
type Stats struct {
	// Serving is set while a tenure of this node runs; Term is that of Raft.
	Serving bool
	// Index is that of the last entry applied, Counts and LastToken what the state
	// has come to, Digest its last noted digest.
	Index     uint64
	Counts    engine.Counts
	LastToken engine.Token
	Digest    replica.Digest
	// Clients is how many client connections are open.
	Clients int
	// Proposals are those of the tenure that runs.
	Proposals propose.Stats
	Raft      raftwire.Stats
	Peers     peers.Stats
	Watches   watch.Stats
}

// Stats are the node's counters; Raft's are missing before Run has opened it.
func (n *Node) Stats() Stats {
	stats := Stats{
		Digest: n.replica.Digest(), Clients: n.server.Connections(),
		Peers: n.peers.Stats(), Watches: n.hub.Stats(),
	}
	n.replica.Read(func(e *engine.Engine) {
		stats.Index, stats.Counts, stats.LastToken = e.Index(), e.Counts(), e.LastToken()
	})
	if t := n.office.Current(); t != nil {
		stats.Serving, stats.Proposals = true, t.Stats()
	}
	if raft := n.raft.Load(); raft != nil {
		stats.Raft = raft.Stats()
	}
	return stats
}

// Replica is the node's state, for oracles that need the inside; production code
// does not.
func (n *Node) Replica() *replica.Replica { return n.replica }

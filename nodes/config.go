package nodes

import (
	"errors"
	"fmt"
	"time"

	"lockstep/engine"
	"lockstep/nodes/confirm"
	"lockstep/nodes/peers"
	"lockstep/nodes/propose"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/watch"
)

// Config is what a Node needs to know. Start from DefaultConfig.
type Config struct {
	// Node is this node's id: what its certificate says.
	Node string
	// Cluster is the cluster's id, Lineage the lineage of the node's data.
	Cluster string
	Lineage uint64
	// Version is program and version, for logs and status; may be empty.
	Version string
	// Listen is the address that the node listens on, Address the one that others
	// reach it at.
	Listen, Address string
	// Members are the voters of a new cluster, as node -> address, this node among
	// them, equal on all of them. They count only while the node's log is empty. A
	// node without members waits until a cluster adds it.
	Members map[string]string

	// HeartbeatTimeout is how long a follower is without a leader before it stands
	// for election, ElectionTimeout how long a candidate waits, LeaderLease how long
	// a leader goes on without a quorum.
	HeartbeatTimeout, ElectionTimeout, LeaderLease time.Duration
	// CommitTimeout is how much later, at most about twice, followers hear of a
	// commit when nothing else is sent.
	CommitTimeout time.Duration
	// SnapshotThreshold is how many entries make a snapshot worth while,
	// SnapshotInterval how often that is looked at, TrailingLogs how many entries
	// before it are kept for nodes that are a little behind.
	SnapshotThreshold uint64
	SnapshotInterval  time.Duration
	TrailingLogs      uint64
	// WriteDeadline is how long a write to a store may take; then the node halts.
	WriteDeadline time.Duration

	// Limits bound the replicated state. They must be equal on all nodes, and for
	// the whole life of a cluster.
	Limits engine.Limits
	// ProposalQueue is how many commands may wait for the next entry; beyond, clients
	// are told to come back. An entry carries up to BatchCommands commands and about
	// BatchBytes bytes.
	ProposalQueue, BatchCommands, BatchBytes int
	// BatchCompany is how long, after an entry of several commands, the next one
	// waits for as many to come again; 0: not at all.
	BatchCompany time.Duration

	// RoundCompany is how long a confirmation round of heartbeats alone waits for
	// more, RoundAgain when another is begun if it got no majority, RoundTimeout
	// when those who wait for it are told that there is no quorum.
	RoundCompany, RoundAgain, RoundTimeout time.Duration

	// WatchEvents and WatchBytes bound the history that watches can resume in,
	// WatchesPerStream how many a client's stream may carry.
	WatchEvents, WatchBytes, WatchesPerStream int

	// MaxConnections is how many connections are served at once.
	MaxConnections int
	// StopTimeout bounds a clean stop, handing leadership over included.
	StopTimeout time.Duration
}

// DefaultConfig returns a Config in which Node, Cluster, Lineage, Listen and
// Address are missing.
func DefaultConfig() Config {
	raft, batches := raftwire.DefaultConfig(), propose.DefaultConfig()
	rounds, watches := confirm.DefaultConfig(), watch.DefaultConfig()
	return Config{
		HeartbeatTimeout: raft.HeartbeatTimeout, ElectionTimeout: raft.ElectionTimeout, LeaderLease: raft.LeaderLease,
		CommitTimeout:     raft.CommitTimeout,
		SnapshotThreshold: raft.SnapshotThreshold, SnapshotInterval: raft.SnapshotInterval, TrailingLogs: raft.TrailingLogs,
		WriteDeadline: raft.WriteDeadline,
		Limits:        engine.DefaultLimits(),
		ProposalQueue: batches.Queue, BatchCommands: batches.BatchCommands, BatchBytes: batches.BatchBytes,
		BatchCompany: batches.Company,
		RoundCompany: rounds.Company, RoundAgain: rounds.Again, RoundTimeout: rounds.Timeout,
		WatchEvents: watches.Events, WatchBytes: watches.Bytes, WatchesPerStream: watches.Watches,
		MaxConnections: peers.DefaultConfig().MaxConnections,
		StopTimeout:    10 * time.Second,
	}
}

// Validate says which fields make no sense, and why.
func (c Config) Validate() error {
	var problems []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("nodes: "+format, args...))
		}
	}
	refuse(c.Listen == "", "Listen is empty")
	refuse(len(c.Node) > engine.MaxNodeBytes, "Node has %d bytes, more than %d", len(c.Node), engine.MaxNodeBytes)
	refuse(c.StopTimeout <= 0, "StopTimeout %v is not positive", c.StopTimeout)
	if address, member := c.Members[c.Node]; len(c.Members) > 0 {
		refuse(!member, "Members do not have this node, %q", c.Node)
		refuse(member && address != c.Address, "Members say that %q is at %q, Address says %q", c.Node, address, c.Address)
	}
	refuse(c.RoundCompany < 0, "RoundCompany %v is negative", c.RoundCompany)
	refuse(c.RoundAgain <= 0, "RoundAgain %v is not positive", c.RoundAgain)
	refuse(c.RoundTimeout < c.RoundAgain, "RoundTimeout %v is below RoundAgain %v", c.RoundTimeout, c.RoundAgain)
	return errors.Join(append(problems,
		c.peers().Validate(), c.raft().Validate(), c.batches().Validate(), c.watches().Validate(), c.engine().Validate())...)
}

func (c Config) peers() peers.Config {
	cfg := peers.DefaultConfig()
	cfg.Node, cfg.Cluster, cfg.Lineage, cfg.Agent = c.Node, c.Cluster, c.Lineage, c.Version
	cfg.MaxConnections = c.MaxConnections
	return cfg
}

func (c Config) raft() raftwire.Config {
	cfg := raftwire.DefaultConfig()
	cfg.Node, cfg.Address = c.Node, c.Address
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLease = c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLease
	cfg.CommitTimeout = c.CommitTimeout
	cfg.SnapshotThreshold, cfg.SnapshotInterval, cfg.TrailingLogs = c.SnapshotThreshold, c.SnapshotInterval, c.TrailingLogs
	cfg.WriteDeadline = c.WriteDeadline
	return cfg
}

func (c Config) batches() propose.Config {
	return propose.Config{Queue: c.ProposalQueue, BatchCommands: c.BatchCommands, BatchBytes: c.BatchBytes, Company: c.BatchCompany}
}

func (c Config) rounds() confirm.Config {
	cfg := confirm.DefaultConfig()
	cfg.Company, cfg.Again, cfg.Timeout = c.RoundCompany, c.RoundAgain, c.RoundTimeout
	return cfg
}

func (c Config) watches() watch.Config {
	cfg := watch.DefaultConfig()
	cfg.Events, cfg.Bytes, cfg.Watches = c.WatchEvents, c.WatchBytes, c.WatchesPerStream
	return cfg
}

func (c Config) engine() engine.Config { return engine.Config{Lineage: c.Lineage, Limits: c.Limits} }

// servers are the first configuration of a new cluster, by node.
func (c Config) servers() []raftwire.Server {
	var servers []raftwire.Server
	for _, node := range sortedKeys(c.Members) {
		servers = append(servers, raftwire.Server{Node: node, Address: c.Members[node], Voter: true})
	}
	return servers
}

package raftwire

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"
)

// Bootstrap makes servers the first configuration of a new cluster. Every voter
// may call it, with the same servers. It returns ErrHasState if the node has any.
func (r *Raft) Bootstrap(servers []Server) error {
	var first raft.Configuration
	for _, s := range servers {
		suffrage := raft.Nonvoter
		if s.Voter {
			suffrage = raft.Voter
		}
		first.Servers = append(first.Servers, raft.Server{
			Suffrage: suffrage, ID: raft.ServerID(s.Node), Address: raft.ServerAddress(s.Address),
		})
	}
	return r.ask(context.Background(), func() raft.Future { return r.raft.BootstrapCluster(first) })
}

// Members is the latest configuration, committed or not: voters and others.
func (r *Raft) Members() []Server {
	latest := r.raft.GetConfiguration().Configuration()
	members := make([]Server, 0, len(latest.Servers))
	for _, s := range latest.Servers {
		members = append(members, Server{
			Node: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter,
		})
	}
	return members
}

// Voters are the voters among Members.
func (r *Raft) Voters() []Server {
	var voters []Server
	for _, s := range r.Members() {
		if s.Voter {
			voters = append(voters, s)
		}
	}
	return voters
}

// AddVoter adds a voter or makes a member one. Only the leader can do it; on
// others, and for Remove and AddNonvoter too: ErrNotLeader. ErrUnknownOutcome
// means what it says.
func (r *Raft) AddVoter(ctx context.Context, node, address string) error {
	return r.ask(ctx, func() raft.Future {
		return r.raft.AddVoter(raft.ServerID(node), raft.ServerAddress(address), 0, 0)
	})
}

// AddNonvoter adds a member that has no vote.
func (r *Raft) AddNonvoter(ctx context.Context, node, address string) error {
	return r.ask(ctx, func() raft.Future {
		return r.raft.AddNonvoter(raft.ServerID(node), raft.ServerAddress(address), 0, 0)
	})
}

// Remove removes a member.
func (r *Raft) Remove(ctx context.Context, node string) error {
	return r.ask(ctx, func() raft.Future { return r.raft.RemoveServer(raft.ServerID(node), 0, 0) })
}

// Transfer gives the leadership to node, or to the member that is most up to
// date if node is empty. It returns when this node no longer leads.
func (r *Raft) Transfer(ctx context.Context, node string) error {
	if node == "" {
		return r.ask(ctx, func() raft.Future { return r.raft.LeadershipTransfer() })
	}
	for _, s := range r.Voters() {
		if s.Node == node {
			return r.ask(ctx, func() raft.Future {
				return r.raft.LeadershipTransferToServer(raft.ServerID(s.Node), raft.ServerAddress(s.Address))
			})
		}
	}
	return fmt.Errorf("raftwire: %s is no voter of this cluster", node)
}

package serve

import (
	"fmt"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/wire"
)

// status tells about this node, and whether a quorum answers now.
func (s *Server) status(o *opsStream, id uint64) {
	s.prove(func(string) {
		o.send(&lockstepv1.NodeFrame{Id: id, Body: &lockstepv1.NodeFrame_Status{Status: s.Status()}})
	})
}

// Status is what this node knows of itself and the cluster. Quorum says whether
// one answered this node, or the leader it knows, within the last seconds.
func (s *Server) Status() *lockstepv1.Status {
	raft := s.raft.Stats()
	digest := s.replica.Digest()
	st := &lockstepv1.Status{
		Node: s.id.Node, Version: s.id.Version, Cluster: s.id.Cluster, Lineage: s.id.Lineage,
		Role: raft.State.String(), Term: raft.Term, Leader: s.leader(), Members: s.members(),
		CommitIndex: raft.CommitIndex, SnapshotIndex: raft.SnapshotIndex,
		Digest: fmt.Sprintf("%016x", digest.Sum), DigestIndex: digest.Index,
		UptimeNs: int64(s.clocks.Boot()) - s.started,
	}
	t := s.office.Current()
	st.Serving = t != nil
	since, _ := s.fresh.last()
	st.Quorum = !since.IsZero() && s.clocks.Mono.Since(since) <= proofTimeout+time.Second
	s.replica.Read(func(e *engine.Engine) {
		c := e.Counts()
		st.Sessions, st.Locks, st.Waiters = c.Sessions, c.Locks, c.Waiters
		st.LastToken = uint64(e.LastToken())
		st.LogTimeNs = uint64(e.Time())
		st.Position = wire.Position(engine.Position{Index: e.Index(), N: ^uint32(0)})
	})
	return st
}

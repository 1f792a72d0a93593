package client

import (
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
)

func position(p *lockstepv1.Position) Position { return Position{Index: p.GetIndex(), N: p.GetN()} }

func wirePosition(p Position) *lockstepv1.Position {
	return &lockstepv1.Position{Index: p.Index, N: p.N}
}

func later(a, b Position) Position {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

func grantInfo(g *lockstepv1.Grant) GrantInfo {
	return GrantInfo{
		Path: g.GetPath(), Session: SessionID(g.GetSession()), Owner: OwnerID(g.GetOwner()),
		Mode: Mode(g.GetMode()), Token: Token(g.GetToken()), Floor: Token(g.GetFloor()), Count: g.GetCount(),
		Since: position(g.GetSince()), SinceTime: LogTime(g.GetSinceNs()),
		Waiter: WaiterID(g.GetWaiter()), Until: LogTime(g.GetUntilNs()),
	}
}

func waiterInfo(w *lockstepv1.Waiter) WaiterInfo {
	return WaiterInfo{
		Waiter: WaiterID(w.GetWaiter()), Path: w.GetPath(), Session: SessionID(w.GetSession()),
		Owner: OwnerID(w.GetOwner()), Mode: Mode(w.GetMode()), Sequence: w.GetSequence(),
		Since: position(w.GetSince()), SinceTime: LogTime(w.GetSinceNs()),
		Deadline: LogTime(w.GetDeadlineNs()), Ahead: w.GetAhead(),
	}
}

func lockInfo(l *lockstepv1.Lock) LockInfo {
	info := LockInfo{
		Path: l.GetPath(), State: LockState(l.GetState()), Waiters: l.GetWaiters(),
		LastToken: Token(l.GetLastToken()), Now: LogTime(l.GetNowNs()),
	}
	for _, g := range l.GetHolders() {
		info.Holders = append(info.Holders, grantInfo(g))
	}
	for _, c := range l.GetClosures() {
		info.Closures = append(info.Closures, ClosureInfo{
			Mode: Mode(c.GetMode()), Token: Token(c.GetToken()), Until: LogTime(c.GetUntilNs()),
		})
	}
	return info
}

func sessionInfo(s *lockstepv1.SessionInfo) SessionInfo {
	return SessionInfo{
		Session: SessionID(s.GetSession()), Incarnation: s.GetIncarnation(), State: State(s.GetState()),
		Ended: s.GetEnded(), Principal: s.GetPrincipal(), Label: s.GetLabel(),
		TTL: time.Duration(s.GetTtlNs()), Grace: time.Duration(s.GetGraceNs()), Silence: time.Duration(s.GetSilenceNs()),
		Grants: s.GetGrants(), Waiters: s.GetWaiters(),
		Opened: position(s.GetOpened()), OpenedTime: LogTime(s.GetOpenedNs()),
	}
}

func member(m *lockstepv1.Member) Member {
	return Member{Node: m.GetNode(), Address: m.GetAddress(), Voter: m.GetVoter()}
}

func status(s *lockstepv1.Status) Status {
	out := Status{
		Node: s.GetNode(), Version: s.GetVersion(), Cluster: s.GetCluster(), Lineage: s.GetLineage(),
		Role: s.GetRole(), Term: s.GetTerm(), Position: position(s.GetPosition()), CommitIndex: s.GetCommitIndex(),
		LogTime: LogTime(s.GetLogTimeNs()), Serving: s.GetServing(), Quorum: s.GetQuorum(),
		Sessions: s.GetSessions(), Locks: s.GetLocks(), Waiters: s.GetWaiters(), LastToken: Token(s.GetLastToken()),
		SnapshotIndex: s.GetSnapshotIndex(), Digest: s.GetDigest(), DigestIndex: s.GetDigestIndex(),
		Uptime: time.Duration(s.GetUptimeNs()),
	}
	if s.GetLeader() != nil {
		leader := member(s.GetLeader())
		out.Leader = &leader
	}
	for _, m := range s.GetMembers() {
		out.Members = append(out.Members, member(m))
	}
	return out
}

func readInfo(r *lockstepv1.ReadInfo) ReadInfo {
	return ReadInfo{
		Node: r.GetNode(), Position: position(r.GetPosition()),
		Linearizable: r.GetLinearizable(), Age: time.Duration(r.GetAgeNs()),
	}
}

func event(e *lockstepv1.Event) Event {
	return Event{
		Position: position(e.GetPosition()), Kind: EventKind(e.GetKind()), Time: LogTime(e.GetTimeNs()),
		Path: e.GetPath(), Session: SessionID(e.GetSession()), Incarnation: e.GetIncarnation(),
		Principal: e.GetPrincipal(), Owner: OwnerID(e.GetOwner()), Mode: Mode(e.GetMode()),
		Token: Token(e.GetToken()), Floor: Token(e.GetFloor()), Count: e.GetCount(),
		Waiter: WaiterID(e.GetWaiter()), Sequence: e.GetSequence(), Until: LogTime(e.GetUntilNs()),
		Reason: EndReason(e.GetReason()), Node: e.GetNode(), Term: e.GetTerm(),
	}
}

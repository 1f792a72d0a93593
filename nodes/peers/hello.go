package peers

import (
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// greet writes the Hello of a stream that this node opened.
func (m *Manager) greet(stream transport.Stream, node string, kind lockstepv1.Hello_Kind, hello *lockstepv1.Hello) error {
	full := new(lockstepv1.Hello)
	if hello != nil {
		full = proto.CloneOf(hello)
	}
	full.Kind = kind
	full.Version = Version
	full.Cluster = m.cfg.Cluster
	full.Lineage = m.cfg.Lineage
	full.Agent = m.cfg.Agent
	full.FromNode = m.cfg.Node
	full.ToNode = node
	frame, err := transport.AppendMessage(nil, full)
	if err != nil {
		return err
	}
	_, err = stream.Write(frame)
	return err
}

// check says why a stream cannot be served, or nil.
func (m *Manager) check(peer transport.Peer, hello *lockstepv1.Hello, purpose transport.Purpose) *lockstepv1.Problem {
	if hello.GetVersion() != Version {
		return problem(lockstepv1.Code_CODE_VERSION,
			"this node speaks version %d of the protocol, not %d: upgrade the older side", Version, hello.GetVersion())
	}
	var refused *lockstepv1.Problem
	switch kind := hello.GetKind(); kind {
	case lockstepv1.Hello_KIND_CLIENT:
		refused = m.checkClient(hello)
	case lockstepv1.Hello_KIND_RELAY, lockstepv1.Hello_KIND_PEER:
		refused = m.checkNode(peer, hello)
	case lockstepv1.Hello_KIND_UNSPECIFIED:
		refused = problem(lockstepv1.Code_CODE_INVALID, "the Hello says no kind")
	default:
		refused = problem(lockstepv1.Code_CODE_INVALID, "the Hello's kind %d is unknown", kind)
	}
	if refused != nil {
		return refused
	}
	if m.handler(hello.GetKind(), purpose) == nil {
		return problem(lockstepv1.Code_CODE_INVALID, "streams of purpose %d are not served for %s", purpose, hello.GetKind())
	}
	return nil
}

func (m *Manager) checkClient(hello *lockstepv1.Hello) *lockstepv1.Problem {
	if cluster := hello.GetCluster(); cluster != "" && cluster != m.cfg.Cluster {
		return m.wrongCluster(cluster)
	}
	if lineage := hello.GetLineage(); lineage != 0 && lineage != m.cfg.Lineage {
		return m.wrongLineage(lineage, "open a new session")
	}
	return nil
}

func (m *Manager) checkNode(peer transport.Peer, hello *lockstepv1.Hello) *lockstepv1.Problem {
	switch {
	case peer.Node == "":
		return problem(lockstepv1.Code_CODE_NOT_PERMITTED,
			"the certificate of %q names no node: only nodes may send %s", peer.Principal, hello.GetKind())
	case peer.Node != hello.GetFromNode():
		return problem(lockstepv1.Code_CODE_NOT_PERMITTED,
			"the certificate names node %s, the Hello node %q", peer.Node, hello.GetFromNode())
	case hello.GetCluster() != m.cfg.Cluster:
		return m.wrongCluster(hello.GetCluster())
	case hello.GetToNode() != m.cfg.Node:
		return problem(lockstepv1.Code_CODE_INVALID,
			"this is node %s, not %q: check the addresses of the members", m.cfg.Node, hello.GetToNode())
	case hello.GetLineage() != m.cfg.Lineage:
		return m.wrongLineage(hello.GetLineage(), "restore all nodes from the same backup")
	}
	return nil
}

func (m *Manager) wrongCluster(theirs string) *lockstepv1.Problem {
	return problem(lockstepv1.Code_CODE_WRONG_CLUSTER, "this is cluster %q, not %q: check the endpoints", m.cfg.Cluster, theirs)
}

func (m *Manager) wrongLineage(theirs uint64, remedy string) *lockstepv1.Problem {
	return problem(lockstepv1.Code_CODE_WRONG_LINEAGE,
		"this cluster is in lineage %d, not %d: %s", m.cfg.Lineage, theirs, remedy)
}

// welcome answers a Hello; refused is nil or why the stream is not served.
func (m *Manager) welcome(stream transport.Stream, refused *lockstepv1.Problem) error {
	answer := m.deps.Welcome()
	if answer == nil {
		answer = new(lockstepv1.Welcome)
	}
	answer.Version = Version
	answer.Cluster = m.cfg.Cluster
	answer.Lineage = m.cfg.Lineage
	answer.Node = m.cfg.Node
	answer.Problem = refused
	frame, err := transport.AppendMessage(nil, answer)
	if err != nil {
		return err
	}
	_, err = stream.Write(frame)
	return err
}

// refuse tells the opener why its stream is not served, and lets it read that.
func (m *Manager) refuse(stream transport.Stream, why *lockstepv1.Problem) {
	defer stream.Reset()
	if m.welcome(stream, why) != nil || stream.CloseWrite() != nil {
		return
	}
	// A reset now would overtake the answer. The opener closes when it has read it.
	io.Copy(io.Discard, io.LimitReader(stream, refusedDrain))
}

func problem(code lockstepv1.Code, format string, args ...any) *lockstepv1.Problem {
	return &lockstepv1.Problem{Code: code, Detail: fmt.Sprintf(format, args...)}
}

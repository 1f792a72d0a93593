package raftwire

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/raft"
)

// clampCommit is rule U7: what follows the entries that a request proves equal on
// both sides must not be committed because of it.
func clampCommit(a *raft.AppendEntriesRequest) {
	a.LeaderCommitIndex = min(a.LeaderCommitIndex, a.PrevLogEntry+uint64(len(a.Entries)))
}

// encodeAppend encodes everything but the clamped part of the commit index; it
// does not change a, which Raft goes on using.
func encodeAppend(dst []byte, a *raft.AppendEntriesRequest) []byte {
	dst = append(dst, byte(msgAppend))
	commit := min(a.LeaderCommitIndex, a.PrevLogEntry+uint64(len(a.Entries)))
	dst = appendUints(dst, a.Term, a.PrevLogEntry, a.PrevLogTerm, commit, uint64(len(a.Entries)))
	for _, e := range a.Entries {
		dst = appendUints(dst, e.Term)
		dst = append(dst, byte(e.Type))
		dst = appendBytes(dst, e.Data)
		dst = appendBytes(dst, e.Extensions)
	}
	return dst
}

// decodeAppend copies what it keeps of frame.
func decodeAppend(frame, node []byte) (*raft.AppendEntriesRequest, error) {
	c := cursor{rest: frame}
	a := &raft.AppendEntriesRequest{RPCHeader: header(node)}
	a.Term, a.PrevLogEntry, a.PrevLogTerm, a.LeaderCommitIndex = c.uint(), c.uint(), c.uint(), c.uint()
	count := c.uint()
	switch {
	case c.err != nil:
		return nil, c.err
	case count > maxEntries:
		c.fail("%d entries, at most %d", count, maxEntries)
	case a.PrevLogEntry+count < a.PrevLogEntry:
		c.fail("indices beyond all bounds")
	case count > 0:
		c.rest = bytes.Clone(c.rest)
		decodeEntries(&c, a, int(count))
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	clampCommit(a)
	return a, nil
}

func decodeEntries(c *cursor, a *raft.AppendEntriesRequest, count int) {
	// An entry takes at least four bytes: the count cannot make this allocate more
	// than a multiple of what arrived.
	if count > len(c.rest)/4 {
		c.fail("%d entries in %d bytes", count, len(c.rest))
		return
	}
	entries := make([]raft.Log, count)
	a.Entries = make([]*raft.Log, count)
	for i := range entries {
		e := &entries[i]
		e.Index = a.PrevLogEntry + uint64(i) + 1
		e.Term, e.Type, e.Data, e.Extensions = c.uint(), raft.LogType(c.byte()), c.bytes(), c.bytes()
		if c.err != nil {
			return
		}
		if err := checkEntry(e); err != nil {
			c.fail("entry %d: %v", e.Index, err)
			return
		}
		a.Entries[i] = e
	}
}

func checkEntry(e *raft.Log) error {
	switch e.Type {
	case raft.LogCommand, raft.LogNoop, raft.LogBarrier:
		return nil
	case raft.LogConfiguration:
		return checkConfiguration(e.Data)
	case raft.LogAddPeerDeprecated, raft.LogRemovePeerDeprecated:
		return fmt.Errorf("type %s was never used here", e.Type)
	default:
		return fmt.Errorf("type %d is unknown", e.Type)
	}
}

func encodeVote(dst []byte, r *raft.RequestVoteRequest) []byte {
	dst = appendUints(append(dst, byte(msgVote)), r.Term, r.LastLogIndex, r.LastLogTerm)
	return append(dst, bit(r.LeadershipTransfer, flagTransfer))
}

func decodeVote(frame, node []byte) (*raft.RequestVoteRequest, error) {
	c := cursor{rest: frame}
	r := &raft.RequestVoteRequest{RPCHeader: header(node)}
	r.Term, r.LastLogIndex, r.LastLogTerm = c.uint(), c.uint(), c.uint()
	r.LeadershipTransfer = c.flags(flagTransfer) != 0
	return r, c.end()
}

func encodePreVote(dst []byte, r *raft.RequestPreVoteRequest) []byte {
	return appendUints(append(dst, byte(msgPreVote)), r.Term, r.LastLogIndex, r.LastLogTerm)
}

func decodePreVote(frame, node []byte) (*raft.RequestPreVoteRequest, error) {
	c := cursor{rest: frame}
	r := &raft.RequestPreVoteRequest{RPCHeader: header(node)}
	r.Term, r.LastLogIndex, r.LastLogTerm = c.uint(), c.uint(), c.uint()
	return r, c.end()
}

func encodeTimeoutNow(dst []byte, _ *raft.TimeoutNowRequest) []byte {
	return append(dst, byte(msgTimeoutNow))
}

func decodeTimeoutNow(frame, node []byte) (*raft.TimeoutNowRequest, error) {
	c := cursor{rest: frame}
	return &raft.TimeoutNowRequest{RPCHeader: header(node)}, c.end()
}

func encodeInstall(dst []byte, r *raft.InstallSnapshotRequest) []byte {
	dst = appendUints(append(dst, byte(msgInstall)), uint64(r.SnapshotVersion), r.Term,
		r.LastLogIndex, r.LastLogTerm, r.ConfigurationIndex, uint64(r.Size))
	return appendBytes(dst, r.Configuration)
}

func decodeInstall(frame, node []byte) (*raft.InstallSnapshotRequest, error) {
	c := cursor{rest: frame}
	r := &raft.InstallSnapshotRequest{RPCHeader: header(node)}
	version := c.uint()
	r.Term, r.LastLogIndex, r.LastLogTerm, r.ConfigurationIndex = c.uint(), c.uint(), c.uint(), c.uint()
	size := c.uint()
	r.Configuration = bytes.Clone(c.bytes())
	r.SnapshotVersion, r.Size = raft.SnapshotVersion(version), int64(size)
	switch {
	case c.err != nil:
	case version != uint64(raft.SnapshotVersionMax):
		c.fail("snapshot version %d", version)
	case r.Size < 0:
		c.fail("snapshot of %d bytes", size)
	case r.LastLogIndex == 0 || r.LastLogTerm == 0:
		c.fail("snapshot of nothing")
	case len(r.Configuration) > maxConfiguration:
		c.fail("configuration of %d bytes", len(r.Configuration))
	default:
		if err := checkConfiguration(r.Configuration); err != nil {
			c.fail("%v", err)
		}
	}
	return r, c.end()
}

// decodeRequest decodes any request but an installation.
func decodeRequest(frame, node []byte) (any, error) {
	if len(frame) == 0 {
		return nil, fmt.Errorf("%w: empty frame", errGarbage)
	}
	switch kind, body := message(frame[0]), frame[1:]; kind {
	case msgAppend:
		return decodeAppend(body, node)
	case msgVote:
		return decodeVote(body, node)
	case msgPreVote:
		return decodePreVote(body, node)
	case msgTimeoutNow:
		return decodeTimeoutNow(body, node)
	case msgAppendReply, msgVoteReply, msgPreVoteReply, msgTimeoutNowReply,
		msgInstall, msgInstallReply, msgFailure:
		return nil, fmt.Errorf("%w: message %d is no request of this stream", errGarbage, kind)
	default:
		return nil, fmt.Errorf("%w: unknown message %d", errGarbage, kind)
	}
}

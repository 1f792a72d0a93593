package raftwire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/hashicorp/raft"
	"github.com/jonboulle/clockwork"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/peers"
	"lockstep/transport"
)

// Raft asks for these by type assertion and changes its ways silently where they
// are missing (rule U11).
var (
	_ raft.Transport   = (*Transport)(nil)
	_ raft.WithPreVote = (*Transport)(nil)
	_ raft.WithClose   = (*Transport)(nil)
)

// Transport carries Raft's requests over streams between nodes. Raft knows nodes
// by their ids alone: to it, a node's address is its id.
type Transport struct {
	cfg    Config
	peers  Peers
	clock  clockwork.Clock
	logger *slog.Logger
	gate   *gate
	pool   pool
	// life ends with Close.
	life context.Context
	end  context.CancelFunc

	counts struct {
		sent, served, installs, drained, garbage atomic.Uint64
	}
}

func newTransport(cfg Config, deps Deps, g *gate) *Transport {
	t := &Transport{cfg: cfg, peers: deps.Peers, clock: deps.Clocks.Mono, logger: deps.Logger, gate: g}
	t.life, t.end = context.WithCancel(context.Background())
	t.pool.t = t
	deps.Peers.Handle(lockstepv1.Hello_KIND_PEER, transport.PurposeRaft, t.serveRaft)
	deps.Peers.Handle(lockstepv1.Hello_KIND_PEER, transport.PurposeBulk, t.serveBulk)
	return t
}

// Consumer is where Raft takes requests from.
func (t *Transport) Consumer() <-chan raft.RPC { return t.gate.consumer }

// LocalAddr is this node's id.
func (t *Transport) LocalAddr() raft.ServerAddress { return raft.ServerAddress(t.cfg.Node) }

// EncodePeer is a node's id.
func (t *Transport) EncodePeer(id raft.ServerID, _ raft.ServerAddress) []byte { return []byte(id) }

// DecodePeer undoes EncodePeer.
func (t *Transport) DecodePeer(node []byte) raft.ServerAddress { return raft.ServerAddress(node) }

// SetHeartbeatHandler does nothing, on purpose: the handler would change Raft's
// term and state beside its main loop (rule U1). Heartbeats arrive at Consumer.
func (t *Transport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntries sends a request and waits for its answer. Heartbeats have streams
// of their own, so that they do not wait behind large appends.
func (t *Transport) AppendEntries(id raft.ServerID, _ raft.ServerAddress, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) error {
	encode := func(dst []byte) []byte { return encodeAppend(dst, request) }
	decode := func(frame []byte) error { return decodeAppendReply(frame, response) }
	if isHeartbeat(request) {
		return t.pool.call(t.life, call{string(id), laneHeartbeat, t.cfg.CallTimeout}, encode, decode)
	}
	ctx, cancel := t.within(connectWait)
	defer cancel()
	if err := t.connected(ctx, string(id)); err != nil {
		return err
	}
	return t.pool.call(t.life, call{string(id), laneAppend, t.cfg.AppendTimeout}, encode, decode)
}

func isHeartbeat(r *raft.AppendEntriesRequest) bool {
	return len(r.Entries) == 0 && r.PrevLogEntry == 0 && r.LeaderCommitIndex == 0
}

// connected waits until a node is connected.
func (t *Transport) connected(ctx context.Context, node string) error {
	if err := t.peers.Await(ctx, node); err != nil {
		return fmt.Errorf("raftwire: %w", err)
	}
	return nil
}

// RequestVote asks for a vote.
func (t *Transport) RequestVote(id raft.ServerID, _ raft.ServerAddress, request *raft.RequestVoteRequest, response *raft.RequestVoteResponse) error {
	return t.pool.call(t.life, call{string(id), laneControl, t.cfg.CallTimeout},
		func(dst []byte) []byte { return encodeVote(dst, request) },
		func(frame []byte) error { return decodeVoteReply(frame, response) })
}

// RequestPreVote asks whether a vote would be given.
func (t *Transport) RequestPreVote(id raft.ServerID, _ raft.ServerAddress, request *raft.RequestPreVoteRequest, response *raft.RequestPreVoteResponse) error {
	err := t.pool.call(t.life, call{string(id), laneControl, t.cfg.CallTimeout},
		func(dst []byte) []byte { return encodePreVote(dst, request) },
		func(frame []byte) error { return decodePreVoteReply(frame, response) })
	// Raft looks for certain words in the error and takes them for a yes. No text
	// of another node gets that far.
	if remote := (*remoteError)(nil); errors.As(err, &remote) {
		t.logger.Warn("a node failed to answer a pre-vote", "node", string(id), "error", err)
		return errors.New("raftwire: the other node answered with an error")
	}
	return err
}

// TimeoutNow asks a node to stand for election at once.
func (t *Transport) TimeoutNow(id raft.ServerID, _ raft.ServerAddress, request *raft.TimeoutNowRequest, response *raft.TimeoutNowResponse) error {
	return t.pool.call(t.life, call{string(id), laneControl, t.cfg.CallTimeout},
		func(dst []byte) []byte { return encodeTimeoutNow(dst, request) },
		func(frame []byte) error { return decodeTimeoutNowReply(frame, response) })
}

// InstallSnapshot sends a snapshot and waits until the node has restored it.
func (t *Transport) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, request *raft.InstallSnapshotRequest, response *raft.InstallSnapshotResponse, data io.Reader) error {
	ctx, cancel := t.within(t.cfg.CallTimeout)
	out, err := t.open(ctx, string(id), transport.PurposeBulk)
	cancel()
	if err != nil {
		return err
	}
	defer out.Stream.Reset()
	stop := context.AfterFunc(t.life, out.Stream.Reset)
	defer stop()
	if err := t.sendSnapshot(out, request, data); err != nil {
		return fmt.Errorf("raftwire: snapshot to %s: %w", id, err)
	}
	if err := out.Stream.SetReadDeadline(t.after(t.cfg.RestoreTimeout)); err != nil {
		return err
	}
	frame, err := out.Read()
	if err != nil {
		return fmt.Errorf("raftwire: snapshot to %s: %w", id, err)
	}
	return decodeInstallReply(frame, response)
}

func (t *Transport) sendSnapshot(out *peers.Outbound, request *raft.InstallSnapshotRequest, data io.Reader) error {
	frame := endFrame(encodeInstall(beginFrame(nil), request))
	for last := false; ; {
		if err := out.Stream.SetWriteDeadline(t.after(t.cfg.ChunkTimeout)); err != nil {
			return err
		}
		if _, err := out.Stream.Write(frame); err != nil {
			return err
		}
		if last {
			return nil
		}
		frame = append(beginFrame(frame[:0]), make([]byte, chunkSize)...)
		n, err := io.ReadFull(data, frame[transport.FrameHeader:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		frame = endFrame(frame[:transport.FrameHeader+n])
		last = n == 0
	}
}

// Close ends all streams and calls, and takes no more requests.
func (t *Transport) Close() error {
	t.end()
	t.pool.close()
	return nil
}

func (t *Transport) open(ctx context.Context, node string, purpose transport.Purpose) (*peers.Outbound, error) {
	out, err := t.peers.Open(ctx, node, lockstepv1.Hello_KIND_PEER, purpose, nil)
	if err != nil {
		return nil, fmt.Errorf("raftwire: %w", err)
	}
	return out, nil
}

// beginFrame appends room for a frame's length to an empty slice.
func beginFrame(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

// endFrame writes the length of a frame that beginFrame began.
func endFrame(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-transport.FrameHeader))
	return frame
}

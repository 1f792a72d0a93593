package nodestest

import (
	"testing"

	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// Beater speaks the protocol of heartbeat streams, one bundle at a time.
type Beater struct {
	stream transport.Stream
	frames *transport.FrameReader
	last   uint64
}

// NewBeater opens a heartbeat stream.
func NewBeater(tb testing.TB, conn transport.Conn) *Beater {
	tb.Helper()
	b := &Beater{}
	b.stream, b.frames = OpenStream(tb, conn, transport.PurposeHeartbeat)
	welcome := new(lockstepv1.Welcome)
	require.NoError(tb, transport.ReadMessage(b.frames, welcome))
	require.Nil(tb, welcome.GetProblem())
	return b
}

// Beat sends one heartbeat for each session, of its first incarnation, and waits
// for the answer.
func (b *Beater) Beat(sessions ...uint64) (*lockstepv1.HeartbeatReply, error) {
	bundle := &lockstepv1.HeartbeatRequest{}
	for _, id := range sessions {
		bundle.Heartbeats = append(bundle.Heartbeats, &lockstepv1.Heartbeat{Session: id, Incarnation: 1})
	}
	return b.Send(bundle)
}

// Send sends a bundle and waits for its answer.
func (b *Beater) Send(bundle *lockstepv1.HeartbeatRequest) (*lockstepv1.HeartbeatReply, error) {
	b.last++
	bundle.Id = b.last
	frame, err := transport.AppendMessage(nil, bundle)
	if err != nil {
		return nil, err
	}
	if _, err := b.stream.Write(frame); err != nil {
		return nil, err
	}
	for {
		reply := new(lockstepv1.HeartbeatReply)
		if err := transport.ReadMessage(b.frames, reply); err != nil {
			return nil, err
		}
		if reply.GetId() == bundle.Id {
			return reply, nil
		}
	}
}

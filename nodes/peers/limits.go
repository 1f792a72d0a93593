package peers

import (
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

const (
	// Version is the protocol version that this package speaks.
	Version = 1
	// MaxHello is the largest Hello.
	MaxHello = 8 << 10
	// MaxClientFrame is the largest frame that a client, or a node that relays for
	// one, may send.
	MaxClientFrame = 1 << 20
	// refusedDrain is how much of a refused stream is read and thrown away, so that
	// its opener gets to read why.
	refusedDrain = 64 << 10
	// refusalLogPause is the least time between two log lines about refusals.
	refusalLogPause = time.Second
)

// maxFrame is the largest frame that the opener of such a stream may send.
func maxFrame(kind lockstepv1.Hello_Kind, purpose transport.Purpose) int {
	if kind != lockstepv1.Hello_KIND_PEER {
		return MaxClientFrame
	}
	switch purpose {
	case transport.PurposeRaft, transport.PurposeBulk:
		return transport.MaxFrame
	case transport.PurposeHeartbeat, transport.PurposeOps, transport.PurposeWatch:
		return MaxClientFrame
	}
	return MaxClientFrame
}

package transport

const (
	// MaxFrame is the largest payload of any frame, whatever a reader allows. It
	// bounds what one Raft request may carry.
	MaxFrame = 64 << 20
	// FrameHeader is the length of a frame's prefix: the payload's length as four
	// bytes, big endian.
	FrameHeader = 4
	// MaxCloseReason is how many bytes of a close reason reach the peer; the rest
	// is cut off, so that the reason fits into one packet.
	MaxCloseReason = 256

	// firstReadBuffer is what an idle stream's reader costs.
	firstReadBuffer = 512
	// readAhead is how far a reader's buffer grows on a busy stream of small frames.
	readAhead = 32 << 10
	// keptBuffer is the largest buffer that is kept when there is no use for it.
	keptBuffer = 64 << 10
	// smallFramesBeforeShrink is how many frames that fit keptBuffer must pass
	// before a larger read buffer is given back.
	smallFramesBeforeShrink = 64
	// smallWritesBeforeShrink is how many writes of at most keptBuffer bytes must
	// pass before a larger write buffer is given back.
	smallWritesBeforeShrink = 256
	// maxEmptyReads is how often a reader may return nothing without an error.
	maxEmptyReads = 100
)

// ClipReason cuts a close reason to MaxCloseReason bytes.
func ClipReason(reason string) string {
	if len(reason) <= MaxCloseReason {
		return reason
	}
	return reason[:MaxCloseReason]
}

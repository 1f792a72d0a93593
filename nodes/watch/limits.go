package watch

const (
	// maxFrameItems bounds what one frame carries, so that it fits into a frame with
	// paths of the greatest length.
	maxFrameItems = 4096
	// eventBytes is what an event takes in memory, beside its path and name.
	eventBytes = 192
	// readEvents is how many events are copied out of the history at once.
	readEvents = 512
	// commands is how many starts and stops of one stream may wait; the reader of
	// the stream waits when there are more.
	commands = 16
	// listingBytes is after how many bytes a frame of a listing is closed: a lock
	// with thousands of holders is large.
	listingBytes = 256 << 10
	// keptBuffer is the largest write buffer that is kept.
	keptBuffer = 64 << 10
)

package raftwire

import "time"

const (
	// minTimeout is the least that Raft accepts for its timeouts.
	minTimeout = 5 * time.Millisecond
	// maxEntries is the most entries in one request, whatever Config says.
	maxEntries = 1024
	// entryOverhead is more than what an entry costs on the wire beside its data.
	entryOverhead = 64
	// chunkSize is the size of the pieces in which snapshots travel.
	chunkSize = 256 << 10
	// maxConfiguration is the largest encoded configuration of a snapshot.
	maxConfiguration = 1 << 20
	// maxFailure is how much of an error's text is sent to the other side.
	maxFailure = 512
	// maxIdleStreams is how many unused streams are kept per node and lane.
	maxIdleStreams = 2
	// pipelineDepth is how many appends may be on their way to one node.
	pipelineDepth = 64
	// connectWait is how long an append waits for a node to be connected again. A
	// failure would cost more: Raft pauses up to ten seconds after many.
	connectWait = 30 * time.Second
	// cacheEntries is how many of the newest entries are kept in memory, and
	// maxCachedEntry the largest of them.
	cacheEntries   = 256
	maxCachedEntry = 256 << 10
	// transferGap is how long after a refusal because of a leadership transfer the
	// next one counts as the same trouble.
	transferGap = 5 * time.Second
	// logPause is the least time between two equal log lines of Raft.
	logPause = 10 * time.Second
	// observations is how many changes of state Raft may report before they are
	// looked at.
	observations = 64
)

//go:build unix

package disk

const (
	minSegment = 64 << 10
	maxSegment = 1 << 30
	// keptSnapshots is how many snapshots stay: the newest, and one that may still
	// be on its way to another node.
	keptSnapshots = 2
	// maxIdentity is the largest identity file.
	maxIdentity = 64 << 10
	// maxSnapshotMeta is the largest description of a snapshot.
	maxSnapshotMeta = 4 << 20
	// writeBuffer is how much of a snapshot is written at once.
	writeBuffer = 256 << 10
)

// The names within a directory.
const (
	identityFile = "identity.json"
	lockFile     = "lock"
	logDir       = "log"
	snapshotDir  = "snapshots"
)

package raftwire

import "errors"

var (
	// ErrNotLeader is returned by Proposal.Wait when the entry certainly is not in
	// the log and never will be, and by calls that only a leader can serve.
	ErrNotLeader = errors.New("raftwire: not the leader")
	// ErrUnknownOutcome is returned by Proposal.Wait when the entry may or may not
	// be committed, now or later.
	ErrUnknownOutcome = errors.New("raftwire: outcome unknown")
	// ErrTooLarge is returned by Proposal.Wait for an entry above Config.MaxEntry.
	ErrTooLarge = errors.New("raftwire: entry too large")
	// ErrHasState is returned by Bootstrap on a node that has a term, a log or a
	// snapshot already.
	ErrHasState = errors.New("raftwire: node has state already")
	// ErrNothingNew is returned by Snapshot when there is nothing new to keep.
	ErrNothingNew = errors.New("raftwire: nothing new since the last snapshot")
	// ErrNotNewer is what the snapshot store answers to a snapshot that is not newer
	// than the one it has; it stays within Raft and the log.
	ErrNotNewer = errors.New("raftwire: snapshot is not newer")
	// ErrGap is returned by Open for a log that does not reach back to the newest
	// snapshot: entries are lost, and the node must not take part again.
	ErrGap = errors.New("raftwire: entries are missing between snapshot and log")
	// ErrBadSnapshot is returned by ReadImage for what WriteImage did not write.
	ErrBadSnapshot = errors.New("raftwire: damaged snapshot")
	// ErrStopped is returned by calls after Shutdown.
	ErrStopped = errors.New("raftwire: stopped")
)

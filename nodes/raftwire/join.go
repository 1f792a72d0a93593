package raftwire

import (
	"fmt"
	"log/slog"
)

// joinLog makes sure, before Raft starts, that the log continues the newest
// durable snapshot (rule U4). A log that ends before the snapshot's last entry,
// or holds another entry in its place, was on its way to being emptied when the
// node stopped; all that was ever acknowledged is in the snapshot, so the log is
// deleted. Term, vote and snapshot never are.
//
// A log that begins after the snapshot's end is another matter: entries are
// missing which this node may have acknowledged. It must not take part again.
func joinLog(log *logStore, newest position, logger *slog.Logger) error {
	first, _ := log.FirstIndex()
	last, _ := log.LastIndex()
	switch {
	case last == 0:
		return nil
	case first > newest.index+1:
		return fmt.Errorf("%w: the log begins at %d, the newest snapshot ends at %d: remove this node from "+
			"the cluster and add a new one, with a new id and an empty directory", ErrGap, first, newest.index)
	case newest.index == 0 || first == newest.index+1:
		return nil
	}
	if last >= newest.index {
		if term, ok := log.term(newest.index); ok && term == newest.term {
			return nil
		}
	}
	logger.Warn("the log does not continue the newest snapshot and is deleted",
		"log_first", first, "log_last", last, "snapshot_index", newest.index, "snapshot_term", newest.term)
	return log.DeleteRange(first, last)
}

package engine

// Batch is what one Raft entry carries: the commands that were closed together
// and the log time of the closing.
type Batch struct {
	Time     LogTime
	Commands []Command
}

// Entry is a committed batch with its place in the log.
type Entry struct {
	Index uint64
	Term  uint64
	Batch
}

// Outcome is what applying an entry did.
type Outcome struct {
	// Results answer the entry's commands, one each, in order. They are kept for
	// retries: nobody may change them.
	Results []Result
	// Events in order of Position.
	Events []Event
}

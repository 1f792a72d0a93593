package engine

import (
	"cmp"
	"fmt"

	"lockstep/engine/cow"
	"lockstep/engine/queue"
)

// Engine is the lock state machine of one partition. It is not safe for
// concurrent use; a View of it is.
type Engine struct {
	state
	epoch uint64

	// Indexes, which follow from the state and are rebuilt by Restore. They belong
	// to the engine alone: no view reads them.
	bySecret map[[32]byte]SessionID
	due      cow.Tree[dueKey, dueItem]
	// ending holds the sessions that have ended and still hold something.
	ending cow.Tree[SessionID, struct{}]

	digest digest

	// What the entry being applied has done and may still do.
	events   []Event
	freeable uint32
	keys     []queue.Key
	scratch  []byte
}

// New returns an engine without sessions or locks. It panics on a Config that
// does not validate: a program checks its configuration before it gets here.
func New(cfg Config) *Engine {
	if err := cfg.Validate(); err != nil {
		bug("New: %v", err)
	}
	return newEngine(newState(cfg.Lineage, cfg.Limits))
}

func newEngine(st state) *Engine {
	return &Engine{
		state:    st,
		epoch:    1,
		bySecret: make(map[[32]byte]SessionID),
		due:      cow.New[dueKey, dueItem](dueKey.compare),
		ending:   cow.New[SessionID, struct{}](cmp.Compare[SessionID]),
	}
}

// Apply applies a committed entry; nothing else changes the state. First it fires
// deadlines that are due, at most Limits.DuePerEntry, then it frees what ended
// sessions still hold, at most Limits.FreedPerEntry, then it executes the
// commands in order.
//
// Entries come in the order of the log. Apply panics when they do not: that is a
// bug of the caller, and going on would corrupt a replica. No content of a batch
// that DecodeBatch returned makes it panic.
func (e *Engine) Apply(entry Entry) Outcome {
	if entry.Index <= e.index || entry.Term < e.term || entry.Time > MaxLogTime {
		bug("entry %d of term %d at %d applied after entry %d of term %d at %d",
			entry.Index, entry.Term, entry.Time, e.index, e.term, e.time)
	}
	e.index, e.term = entry.Index, entry.Term
	e.time = max(e.time, entry.Time)
	e.events = make([]Event, 0, len(entry.Commands)+1)
	e.freeable = e.limits.FreedPerEntry

	e.fireDue()
	e.freePending()
	results := make([]Result, len(entry.Commands))
	for i, c := range entry.Commands {
		results[i] = e.execute(c)
	}

	e.digest.settle(&e.scratch)
	outcome := Outcome{Results: results, Events: e.events}
	e.events = nil
	return outcome
}

// NoteIndex moves the index past an entry that is no batch, such as a
// configuration of Raft's.
func (e *Engine) NoteIndex(index uint64) { e.index = max(e.index, index) }

// execute decides one command.
func (e *Engine) execute(c Command) Result {
	if refusal := Check(c, e.limits); refusal != nil {
		refusal.Position = e.position()
		return refusal
	}
	switch c := c.(type) {
	case *TakeOffice:
		return e.takeOffice(c)
	case *Tick:
		return e.tick(c)
	case *OpenSession:
		return e.openSession(c)
	case *TakeOver:
		return e.takeOver(c)
	case *Silent:
		return e.silent(c)
	case *Alive:
		return e.alive(c)
	case *ExpireSession:
		return e.expireSession(c)
	case *Leave, *EndSession, *Acquire, *Release, *Cancel:
		return e.request(c)
	default:
		bug("command %T is not of the closed set", c)
		return nil
	}
}

// emit notes an event at the next position of the entry.
func (e *Engine) emit(ev Event) Position {
	ev.Position = Position{Index: e.index, N: uint32(len(e.events) + 1)}
	ev.Time = e.time
	e.events = append(e.events, ev)
	return ev.Position
}

// position is that of the last event: what a client that knows an answer's
// position has been told of, or will be, before the answer.
func (e *Engine) position() Position {
	return Position{Index: e.index, N: uint32(len(e.events))}
}

// bug stops the program: the state can no longer be trusted.
func bug(format string, args ...any) {
	panic("engine: bug: " + fmt.Sprintf(format, args...))
}

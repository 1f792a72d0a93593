package engine

import (
	"io"
	"iter"
)

// Engine is the lock state machine of one partition. It is not safe for
// concurrent use; a View is.
type Engine struct{}

// New returns an engine without sessions or locks. It panics on a Config that
// does not validate.
func New(cfg Config) *Engine { _ = cfg; panic("engine: being built") }

// Restore reads what View.WriteSnapshot wrote.
func Restore(r io.Reader, cfg Config) (*Engine, error) {
	_, _ = r, cfg
	panic("engine: being built")
}

// Apply applies a committed entry: the only door.
func (e *Engine) Apply(entry Entry) Outcome { _ = entry; panic("engine: being built") }

// NoteIndex moves the index past an entry that is no batch.
func (e *Engine) NoteIndex(index uint64) { _ = index }

// Index is that of the last entry.
func (e *Engine) Index() uint64 { return 0 }

// Term is that of the last entry.
func (e *Engine) Term() uint64 { return 0 }

// Time is the log time.
func (e *Engine) Time() LogTime { return 0 }

// Lineage is that of the state.
func (e *Engine) Lineage() uint64 { return 0 }

// Tenure is the last that began.
func (e *Engine) Tenure() Tenure { return Tenure{} }

// Digest is the digest of the state.
func (e *Engine) Digest() uint64 { return 0 }

// Counts says how much there is.
func (e *Engine) Counts() Counts { return Counts{} }

// LastToken is the last token granted.
func (e *Engine) LastToken() Token { return 0 }

// Session returns a session.
func (e *Engine) Session(id SessionID) (SessionInfo, bool) { _ = id; return SessionInfo{}, false }

// SessionGrants returns a session's grants by token.
func (e *Engine) SessionGrants(id SessionID) []Grant { _ = id; return nil }

// SessionWaiters returns a session's waiters by id.
func (e *Engine) SessionWaiters(id SessionID) []Waiter { _ = id; return nil }

// SessionEnded returns a session's ended waits that are not acknowledged as seen.
func (e *Engine) SessionEnded(id SessionID) []WaitOutcome { _ = id; return nil }

// Sessions yields all sessions by id.
func (e *Engine) Sessions() iter.Seq[SessionInfo] { return nil }

// FindGrant returns an owner's grant on a lock.
func (e *Engine) FindGrant(path string, session SessionID, owner OwnerID) (Grant, bool) {
	_, _, _ = path, session, owner
	return Grant{}, false
}

// Lock returns a lock that is not free.
func (e *Engine) Lock(path string) (LockInfo, bool) { _ = path; return LockInfo{}, false }

// NextDue is the earliest pending deadline.
func (e *Engine) NextDue() (LogTime, bool) { return 0, false }

// CheckInvariants runs all invariants.
func (e *Engine) CheckInvariants() error { return nil }

// View is the state as it is now, in O(1).
func (e *Engine) View() *View { return &View{} }

// View is a state that no longer changes; safe for concurrent use.
type View struct{}

// Index is that of the last entry.
func (v *View) Index() uint64 { return 0 }

// Term is that of the last entry.
func (v *View) Term() uint64 { return 0 }

// Time is the log time.
func (v *View) Time() LogTime { return 0 }

// Counts says how much there is.
func (v *View) Counts() Counts { return Counts{} }

// Locks yields the locks at and below prefix, after a path.
func (v *View) Locks(prefix, after string) iter.Seq[LockInfo] { _, _ = prefix, after; return nil }

// Sessions yields the sessions after an id.
func (v *View) Sessions(after SessionID) iter.Seq[SessionInfo] { _ = after; return nil }

// Waiters yields the waiters at and below prefix by path, then queue order.
func (v *View) Waiters(prefix, afterPath string, afterWaiter WaiterID) iter.Seq[Waiter] {
	_, _, _ = prefix, afterPath, afterWaiter
	return nil
}

// WriteSnapshot writes the state's canonical bytes, which end with a checksum.
func (v *View) WriteSnapshot(w io.Writer) error { _ = w; return nil }

// Check says whether Apply would refuse cmd whatever the state; nil: it would not.
func Check(cmd Command, limits Limits) *Refused { _, _ = cmd, limits; return nil }

// AppendBatch encodes a batch.
func AppendBatch(dst []byte, b Batch) []byte { _ = b; return dst }

// DecodeBatch decodes a batch: ErrVersion, ErrCorrupt.
func DecodeBatch(data []byte) (Batch, error) { _ = data; return Batch{}, nil }

// CheckPath says what is wrong with a lock's path.
func CheckPath(path string) error { _ = path; return nil }

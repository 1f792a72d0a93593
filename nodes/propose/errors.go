package propose

import "errors"

var (
	// ErrOver is what a command gets that certainly is not in the log: the tenure
	// ended before it was handed to Raft, or Raft refused it.
	ErrOver = errors.New("propose: the tenure is over")
	// ErrUnknown is what a command gets that may or may not take effect, now or later.
	ErrUnknown = errors.New("propose: outcome unknown")
	// ErrFull is returned by Submit when as many commands wait as may.
	ErrFull = errors.New("propose: too many commands are waiting")
)

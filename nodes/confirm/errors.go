package confirm

import "errors"

var (
	// ErrOver is what waiting requests get when the term has moved: this node must
	// not speak as its leader any more.
	ErrOver = errors.New("confirm: the tenure is over")
	// ErrNoQuorum is what waiting requests get when no majority of the voters
	// confirmed the term in time.
	ErrNoQuorum = errors.New("confirm: no majority of the voters answers")
	// ErrFull is what a request gets when as many wait for a round as may.
	ErrFull = errors.New("confirm: too many requests are waiting")
)

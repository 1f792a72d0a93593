package peers

import (
	"errors"
	"fmt"

	lockstepv1 "lockstep/api/lockstep/v1"
)

var (
	// ErrUnknownNode is returned by Open for a node that is no member.
	ErrUnknownNode = errors.New("peers: unknown node")
	// ErrNotConnected is returned by Open, at once, when the last attempt to connect
	// failed and the next has not begun; it wraps what went wrong.
	ErrNotConnected = errors.New("peers: not connected")
	// ErrClosed is returned by every call on a Manager that was closed.
	ErrClosed = errors.New("peers: closed")
	// ErrWrongNode is what a dial ends with when the node at the address is not the
	// one that was meant.
	ErrWrongNode = errors.New("peers: another node answers at this address")
)

// RefusedError says that the other node refused a stream.
type RefusedError struct {
	Node    string
	Problem *lockstepv1.Problem
}

// Error names the node, the code and what to do.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("peers: node %s refused the stream: %s: %s", e.Node, e.Problem.GetCode(), e.Problem.GetDetail())
}

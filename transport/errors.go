package transport

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by every call on a listener, connection or frame
	// writer that was closed on purpose, here or by the peer. For connections
	// errors.As finds a *CloseError with the reason.
	ErrClosed = errors.New("transport: closed")
	// ErrLost is returned by every call on a connection whose peer fell silent for
	// the idle timeout, forgot the connection (it was restarted), or broke the
	// protocol. What was written may or may not have arrived.
	ErrLost = errors.New("transport: connection lost")
	// ErrReset is returned by reads and writes of a stream that either side reset.
	ErrReset = errors.New("transport: stream reset")
	// ErrUnreachable is returned by Dial when nobody answered at the address.
	ErrUnreachable = errors.New("transport: unreachable")
	// ErrRefused is returned by Dial when the peer answered and would not talk, or
	// is not who it should be: a certificate of a stranger, another protocol, too
	// many connections. Trying again without a change is of little use.
	ErrRefused = errors.New("transport: refused")
	// ErrAddress is returned by Listen and Dial for an address that makes no sense
	// to the network.
	ErrAddress = errors.New("transport: bad address")
	// ErrAddressInUse is returned by Listen when somebody else listens there.
	ErrAddressInUse = errors.New("transport: address in use")
	// ErrFrameTooLarge is returned by frame readers and writers for a frame above
	// their limit. A reader that returned it returns it for ever: what follows the
	// length is not trusted.
	ErrFrameTooLarge = errors.New("transport: frame too large")
	// ErrMalformed is returned by ReadMessage and DecodeMessage for a frame that is
	// not a message of the expected type.
	ErrMalformed = errors.New("transport: malformed message")
	// ErrFull is returned by the Try methods of FrameWriter when as many bytes wait
	// to be written as it may hold.
	ErrFull = errors.New("transport: write queue full")
)

// CloseError says that a connection was closed on purpose, by whom and why. It
// wraps ErrClosed.
type CloseError struct {
	// Reason is what the closing side gave; it may be empty.
	Reason string
	// Remote is true when the peer closed the connection.
	Remote bool
}

// Error names the side that closed and its reason.
func (e *CloseError) Error() string {
	side := "here"
	if e.Remote {
		side = "by the peer"
	}
	if e.Reason == "" {
		return fmt.Sprintf("%v %s", ErrClosed, side)
	}
	return fmt.Sprintf("%v %s: %s", ErrClosed, side, e.Reason)
}

// Unwrap makes errors.Is(err, ErrClosed) true.
func (e *CloseError) Unwrap() error { return ErrClosed }

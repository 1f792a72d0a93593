package transport

import (
	"context"
	"io"
	"time"
)

// Network opens connections between named addresses. It is handed to nodes and
// clients, so that the same code runs over QUIC in production and over a
// simulated network in tests. An address is an opaque string to everyone but
// the Network that understands it (host:port for QUIC).
//
// All methods of Network, Listener, Conn and Stream may be called from any
// goroutine; the exceptions are named at the method.
type Network interface {
	// Listen accepts connections at address until the listener is closed.
	// An address whose port is 0 asks for a free one; Listener.Addr tells it.
	Listen(address string) (Listener, error)
	// Dial connects to address. It returns when the peer is authenticated or
	// ctx ends. Errors wrap ErrUnreachable, ErrRefused or the context's error.
	Dial(ctx context.Context, address string) (Conn, error)
}

// Listener hands out the connections that peers open.
type Listener interface {
	// Accept returns the next authenticated connection; ErrClosed after Close.
	Accept(ctx context.Context) (Conn, error)
	// Addr is the address that others can dial.
	Addr() string
	// Close stops accepting and closes every connection that was accepted.
	Close() error
}

// Conn is an authenticated connection that carries many independent streams.
// A lost packet or a slow reader on one stream never delays another one.
type Conn interface {
	// OpenStream opens a stream for a purpose. The peer sees it only once
	// something was written, or CloseWrite called. It blocks while the peer's
	// stream limit is reached.
	OpenStream(ctx context.Context, purpose Purpose) (Stream, error)
	// AcceptStream returns the next stream that the peer opened.
	AcceptStream(ctx context.Context) (Stream, error)
	// Peer tells who is at the other end.
	Peer() Peer
	// Context ends when the connection is gone; context.Cause says why: an
	// error that wraps ErrClosed (either side closed it) or ErrLost (the peer
	// fell silent for the idle timeout, or broke the protocol).
	Context() context.Context
	// Close closes the connection and all its streams; reason reaches the peer, cut
	// to MaxCloseReason bytes. What the peer has not read by then is lost: to be
	// sure that it was read, CloseWrite and wait for the peer's own end of stream.
	Close(reason string) error
}

// Stream is an ordered, reliable, flow-controlled stream of bytes in both
// directions. One goroutine may read while another writes; neither Read nor Write,
// to which CloseWrite counts, may be called from two goroutines at once.
type Stream interface {
	io.Reader
	io.Writer
	// Purpose is what the opener said the stream is for.
	Purpose() Purpose
	// CloseWrite ends the write side: the peer reads what was written, then io.EOF.
	CloseWrite() error
	// Reset abandons both directions at once: pending and later reads and writes
	// on both sides fail with an error that wraps ErrReset. A direction whose end
	// had already arrived by CloseWrite stays readable for the peer. A stream
	// counts towards the peer's limit until both directions are over: ended and
	// read to the end, or reset and, on the other side, noticed by a Read.
	Reset()
	// SetReadDeadline and SetWriteDeadline bound pending and future calls by an
	// instant of the process's monotonic clock; the zero time means no bound. A
	// call past it fails with an error that wraps os.ErrDeadlineExceeded.
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Purpose says what a stream carries. The first byte of a stream is its purpose.
type Purpose uint8

const (
	// PurposeRaft carries Raft's own RPCs between nodes, snapshots excepted.
	PurposeRaft Purpose = 1
	// PurposeHeartbeat carries session heartbeats of clients, and confirmation
	// rounds between nodes: small, urgent, never behind anything else.
	PurposeHeartbeat Purpose = 2
	// PurposeOps carries requests, answers and a session's own events.
	PurposeOps Purpose = 3
	// PurposeBulk carries large transfers: snapshots and listings.
	PurposeBulk Purpose = 4
	// PurposeWatch carries all watches of a connection.
	PurposeWatch Purpose = 5
)

// Peer is the authenticated identity at the other end of a connection.
type Peer struct {
	// Principal is the name in the peer's certificate, such as "operator" or
	// "node/n1". It is never empty.
	Principal string
	// Node is the node id if the certificate names a cluster node, or "".
	Node string
	// Address is where the peer's packets come from, for logs only.
	Address string
}

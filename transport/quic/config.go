package quic

import (
	"fmt"
	"time"

	quicgo "github.com/quic-go/quic-go"
)

// Protocol is the application protocol that TLS agrees on; the version in it
// changes only when the framing of streams does.
const Protocol = "lockstep/1"

// Config tunes connections. Both ends may differ.
type Config struct {
	// KeepAlive is how often an idle connection sends something; positive, and at
	// most half of IdleTimeout.
	KeepAlive time.Duration
	// IdleTimeout is how long a peer may be silent before the connection is lost;
	// the smaller one of both ends counts. At least 100 ms.
	IdleTimeout time.Duration
	// HandshakeTimeout bounds Dial, for each address that a name has; positive.
	HandshakeTimeout time.Duration
	// StreamWindow is how many unread bytes of a stream are taken at first, in
	// bytes, and MaxStreamWindow what this grows to for a reader that keeps up.
	StreamWindow, MaxStreamWindow int
	// ConnectionWindow is how many unread bytes of all streams of a connection are
	// taken, in bytes, from the start. When readers leave that much unread, the
	// connection's other streams stall, too: it should be MaxStreams' share of
	// slow readers times StreamWindow.
	ConnectionWindow int
	// MaxStreams is how many streams the peer may have open on a connection;
	// positive.
	MaxStreams int
	// Backlog is how many connections may wait to be accepted; positive.
	Backlog int
	// DialFrom is the address that a process which does not listen dials from.
	DialFrom string
}

// DefaultConfig notices a half-open connection within four seconds, and bears a
// thousand streams on a connection whose readers have all stopped.
func DefaultConfig() Config {
	return Config{
		KeepAlive:        time.Second,
		IdleTimeout:      4 * time.Second,
		HandshakeTimeout: 3 * time.Second,
		StreamWindow:     256 << 10,
		MaxStreamWindow:  4 << 20,
		ConnectionWindow: 256 << 20,
		MaxStreams:       16 << 10,
		Backlog:          1 << 10,
		DialFrom:         ":0",
	}
}

// leastIdleTimeout keeps a scheduling delay from ending connections.
const leastIdleTimeout = 100 * time.Millisecond

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	for _, field := range []struct {
		name        string
		value, from int64
	}{
		{"KeepAlive", int64(c.KeepAlive), 1},
		{"IdleTimeout", int64(c.IdleTimeout), int64(leastIdleTimeout)},
		{"HandshakeTimeout", int64(c.HandshakeTimeout), 1},
		{"StreamWindow", int64(c.StreamWindow), 1},
		{"MaxStreamWindow", int64(c.MaxStreamWindow), int64(c.StreamWindow)},
		{"ConnectionWindow", int64(c.ConnectionWindow), int64(c.MaxStreamWindow)},
		{"MaxStreams", int64(c.MaxStreams), 1},
		{"Backlog", int64(c.Backlog), 1},
	} {
		if field.value < field.from {
			return fmt.Errorf("quic: %s is %d, must be at least %d", field.name, field.value, field.from)
		}
	}
	if c.KeepAlive > c.IdleTimeout/2 {
		return fmt.Errorf("quic: KeepAlive is %v, must be at most half of IdleTimeout, %v", c.KeepAlive, c.IdleTimeout)
	}
	return nil
}

// quic is the configuration of quic-go. Packet sizes are left to its discovery:
// starting with the largest one on loopback changed neither latency nor cost.
func (c Config) quic() *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout:           c.HandshakeTimeout,
		MaxIdleTimeout:                 c.IdleTimeout,
		KeepAlivePeriod:                c.KeepAlive,
		InitialStreamReceiveWindow:     uint64(c.StreamWindow),
		MaxStreamReceiveWindow:         uint64(c.MaxStreamWindow),
		InitialConnectionReceiveWindow: uint64(c.ConnectionWindow),
		MaxConnectionReceiveWindow:     uint64(c.ConnectionWindow),
		MaxIncomingStreams:             int64(c.MaxStreams),
		MaxIncomingUniStreams:          1, // the greeting
	}
}

package simnet

import (
	"fmt"
	"time"
)

// Config says how the network behaves when it is healthy.
type Config struct {
	// Latency is how long bytes take from any host to any other, unless SetLatency
	// says otherwise; 0 or more. With 0 they arrive at once.
	Latency time.Duration
	// IdleTimeout is how long a peer may be silent before the connection is lost;
	// positive. A healthy peer is never silent, as if it sent keep-alives.
	IdleTimeout time.Duration
	// HandshakeTimeout bounds a Dial whose packets go nowhere; positive.
	HandshakeTimeout time.Duration
	// StreamWindow is how many bytes of a stream may be unread, in bytes; positive.
	// Beyond it the writer waits.
	StreamWindow int
	// MaxStreams is how many streams opened by one side of a connection may live
	// at a time; positive.
	MaxStreams int
	// Backlog is how many connections may wait to be accepted; positive.
	Backlog int
}

// DefaultConfig resembles what transport/quic does by default, without latency.
func DefaultConfig() Config {
	return Config{
		IdleTimeout:      4 * time.Second,
		HandshakeTimeout: 3 * time.Second,
		StreamWindow:     256 << 10,
		MaxStreams:       16 << 10,
		Backlog:          1 << 10,
	}
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	for _, field := range []struct {
		name  string
		value int64
		least int64
	}{
		{"Latency", int64(c.Latency), 0},
		{"IdleTimeout", int64(c.IdleTimeout), 1},
		{"HandshakeTimeout", int64(c.HandshakeTimeout), 1},
		{"StreamWindow", int64(c.StreamWindow), 1},
		{"MaxStreams", int64(c.MaxStreams), 1},
		{"Backlog", int64(c.Backlog), 1},
	} {
		if field.value < field.least {
			return fmt.Errorf("simnet: %s is %d, must be at least %d", field.name, field.value, field.least)
		}
	}
	return nil
}

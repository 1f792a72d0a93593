package quic

import (
	"errors"
	"fmt"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"lockstep/transport"
)

// maxPrefixed is how long a first write may be to be copied behind the purpose.
const maxPrefixed = 16 << 10

// stream is a QUIC stream that begins with its purpose.
type stream struct {
	quic    *quicgo.Stream
	purpose transport.Purpose
	// unannounced: the purpose is still to be written, with the first bytes. It
	// belongs to whoever writes.
	unannounced bool
	finished    bool
}

var _ transport.Stream = (*stream)(nil)

// Purpose implements transport.Stream.
func (s *stream) Purpose() transport.Purpose { return s.purpose }

// Read implements transport.Stream.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.quic.Read(p)
	if err == nil {
		return n, nil
	}
	err = streamError("read", err)
	if errors.Is(err, transport.ErrReset) {
		s.Reset() // the peer abandoned both directions: the stream is over, and makes room
	}
	return n, err
}

// Write implements transport.Stream.
func (s *stream) Write(p []byte) (int, error) {
	if s.unannounced && len(p) > 0 {
		return s.writeFirst(p)
	}
	n, err := s.quic.Write(p)
	if err != nil {
		err = streamError("write", err)
	}
	return n, err
}

// writeFirst sends the purpose and p in one packet if they fit into one.
func (s *stream) writeFirst(p []byte) (int, error) {
	if len(p) > maxPrefixed {
		if err := s.announce(); err != nil {
			return 0, err
		}
		return s.Write(p)
	}
	prefixed := make([]byte, 1+len(p))
	prefixed[0] = byte(s.purpose)
	copy(prefixed[1:], p)
	n, err := s.quic.Write(prefixed)
	if n > 0 {
		s.unannounced = false
		n--
	}
	return n, streamError("write", err)
}

func (s *stream) announce() error {
	n, err := s.quic.Write([]byte{byte(s.purpose)})
	if n > 0 {
		s.unannounced = false
	}
	return streamError("write", err)
}

// CloseWrite implements transport.Stream.
func (s *stream) CloseWrite() error {
	if s.finished {
		return nil
	}
	if s.unannounced {
		if err := s.announce(); err != nil {
			return err
		}
	}
	if err := s.quic.Close(); err != nil {
		return fmt.Errorf("%w: %w", transport.ErrReset, err)
	}
	s.finished = true
	return nil
}

// Reset implements transport.Stream.
func (s *stream) Reset() {
	s.quic.CancelWrite(codeReset)
	s.quic.CancelRead(codeReset)
}

// SetReadDeadline implements transport.Stream.
func (s *stream) SetReadDeadline(t time.Time) error { return s.quic.SetReadDeadline(t) }

// SetWriteDeadline implements transport.Stream.
func (s *stream) SetWriteDeadline(t time.Time) error { return s.quic.SetWriteDeadline(t) }

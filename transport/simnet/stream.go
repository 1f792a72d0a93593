package simnet

import (
	"fmt"
	"io"
	"os"
	"time"

	"lockstep/transport"
)

// stream is one side of a stream. Its fields are guarded by side.net.mu.
type stream struct {
	side    *side
	id      uint64
	purpose transport.Purpose
	// opener: this side opened it. announced: the other side knows of it.
	opener    bool
	announced bool

	// Reading: buffered[at:] arrived and is unread; ended: nothing comes after it;
	// drained: the reader was told so.
	buffered       []byte
	at             int
	ended, drained bool
	readErr        error
	noticed        bool // the reader was told of readErr
	readDeadline   time.Time
	readable       signal

	// Writing: credit is how many bytes the peer takes; finished: CloseWrite.
	credit        int
	finished      bool
	writeErr      error
	writeDeadline time.Time
	writable      signal
}

var _ transport.Stream = (*stream)(nil)

func (s *side) newStream(id uint64, purpose transport.Purpose) *stream {
	st := &stream{side: s, id: id, purpose: purpose, credit: s.net.cfg.StreamWindow}
	s.streams[id] = st
	return st
}

// Purpose implements transport.Stream.
func (st *stream) Purpose() transport.Purpose { return st.purpose }

// Read implements transport.Stream.
func (st *stream) Read(p []byte) (int, error) {
	n := st.side.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case st.drained:
			return 0, io.EOF
		case st.readErr != nil:
			st.noticed = true
			st.retire()
			return 0, st.readErr
		case st.side.err != nil:
			return 0, st.side.err
		case n.passed(st.readDeadline):
			return 0, fmt.Errorf("transport: read: %w", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case st.at < len(st.buffered):
			return st.consume(p), nil
		case st.ended:
			st.drained = true
			st.retire()
			return 0, io.EOF
		}
		n.wait(&st.readable, nil, st.readDeadline)
	}
}

func (st *stream) consume(p []byte) int {
	read := copy(p, st.buffered[st.at:])
	st.at += read
	if st.at == len(st.buffered) {
		st.buffered, st.at = st.buffered[:0], 0
	}
	st.send(parcel{kind: parcelCredit, size: read})
	return read
}

// Write implements transport.Stream.
func (st *stream) Write(p []byte) (int, error) {
	n := st.side.net
	n.mu.Lock()
	defer n.mu.Unlock()
	written := 0
	for {
		switch {
		case st.writeErr != nil:
			return written, st.writeErr
		case st.finished:
			return written, fmt.Errorf("%w: write after CloseWrite", transport.ErrClosed)
		case st.side.err != nil:
			return written, st.side.err
		case n.passed(st.writeDeadline):
			return written, fmt.Errorf("transport: write: %w", os.ErrDeadlineExceeded)
		case written == len(p):
			return written, nil
		case st.credit > 0:
			size := min(st.credit, len(p)-written)
			st.credit -= size
			st.announce()
			st.send(parcel{kind: parcelData, data: p[written : written+size]})
			written += size
			if written == len(p) {
				return written, nil
			}
			continue
		}
		n.wait(&st.writable, nil, st.writeDeadline)
	}
}

// CloseWrite implements transport.Stream.
func (st *stream) CloseWrite() error {
	st.side.net.mu.Lock()
	defer st.side.net.mu.Unlock()
	switch {
	case st.finished:
		return nil
	case st.writeErr != nil:
		return st.writeErr
	case st.side.err != nil:
		return st.side.err
	}
	st.announce()
	st.finished = true
	st.send(parcel{kind: parcelFin})
	st.writable.fire()
	st.retire()
	return nil
}

// Reset implements transport.Stream.
func (st *stream) Reset() {
	st.side.net.mu.Lock()
	defer st.side.net.mu.Unlock()
	if st.side.err != nil || st.isOver() {
		return
	}
	st.ended = st.drained // what arrived and is unread is abandoned as well
	st.noticed = true
	st.fail(fmt.Errorf("%w here", transport.ErrReset))
	if st.opener && !st.announced {
		st.side.slots++ // the peer never heard of it
		st.side.changed.fire()
		return
	}
	st.send(parcel{kind: parcelReset})
}

// SetReadDeadline implements transport.Stream.
func (st *stream) SetReadDeadline(t time.Time) error {
	st.side.net.mu.Lock()
	defer st.side.net.mu.Unlock()
	st.readDeadline = t
	st.readable.fire()
	return nil
}

// SetWriteDeadline implements transport.Stream.
func (st *stream) SetWriteDeadline(t time.Time) error {
	st.side.net.mu.Lock()
	defer st.side.net.mu.Unlock()
	st.writeDeadline = t
	st.writable.fire()
	return nil
}

func (st *stream) announce() {
	if st.opener && !st.announced {
		st.announced = true
		st.send(parcel{kind: parcelOpen, purpose: st.purpose})
	}
}

func (st *stream) send(p parcel) {
	p.stream = st.id
	st.side.send(p)
}

// receive takes a parcel of this stream.
func (st *stream) receive(p parcel) {
	switch p.kind {
	case parcelData:
		if st.readErr == nil {
			st.buffered = append(st.buffered, p.data...)
			st.readable.fire()
		}
	case parcelFin:
		st.ended = true
		st.readable.fire()
	case parcelCredit:
		st.credit += p.size
		st.writable.fire()
	case parcelReset:
		st.fail(fmt.Errorf("%w by the peer", transport.ErrReset))
	case parcelConnect, parcelAccepted, parcelRefused, parcelOpen, parcelSlot, parcelClose:
		panic(fmt.Sprintf("simnet: parcel of kind %d at a stream", p.kind))
	}
}

// fail ends what is not cleanly over yet in either direction.
func (st *stream) fail(err error) {
	if !st.ended {
		st.readErr, st.buffered, st.at = err, nil, 0
	}
	if !st.finished {
		st.writeErr = err
	}
	st.readable.fire()
	st.writable.fire()
	st.retire()
}

func (st *stream) isOver() bool {
	return (st.drained || st.noticed) && (st.finished || st.writeErr != nil)
}

// retire forgets the stream when both directions are over, which lets the peer
// open another one.
func (st *stream) retire() {
	if !st.isOver() {
		return
	}
	if _, known := st.side.streams[st.id]; !known {
		return
	}
	delete(st.side.streams, st.id)
	if !st.opener {
		st.side.send(parcel{kind: parcelSlot})
	}
}

package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// FrameReader cuts a stream of bytes into frames. Its memory follows the bytes
// that arrived: a length field that lies costs nothing. One goroutine at a time
// may use it.
type FrameReader struct {
	src io.Reader
	max int
	// buf[start:end] is read and not yet handed out.
	buf        []byte
	start, end int
	// pending came with the last bytes and is reported when they are used up.
	pending error
	// wantLarger is set when a read filled the buffer to its end.
	wantLarger bool
	// smallFrames counts frames in a row that would have fitted keptBuffer.
	smallFrames int
}

// NewFrameReader returns a reader of the frames in src with payloads of at most
// maxFrame bytes, from 0 to MaxFrame; anything else is a bug and panics.
func NewFrameReader(src io.Reader, maxFrame int) *FrameReader {
	if maxFrame < 0 || maxFrame > MaxFrame {
		panic(fmt.Sprintf("transport: frame limit %d is not within 0..%d", maxFrame, MaxFrame))
	}
	return &FrameReader{src: src, max: maxFrame}
}

// Read returns the payload of the next frame; it is valid until the next call.
// It returns io.EOF when src ended between frames, an error that wraps
// io.ErrUnexpectedEOF when it ended inside one, ErrFrameTooLarge, or the error
// of src. After an error of src that passes, such as a deadline, the next Read
// goes on where this one stopped.
func (f *FrameReader) Read() ([]byte, error) {
	f.shrink()
	if err := f.fill(FrameHeader); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(f.buf[f.start:])
	if uint64(length) > uint64(f.max) {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrFrameTooLarge, length, f.max)
	}
	whole := FrameHeader + int(length)
	if err := f.fill(whole); err != nil {
		return nil, err
	}
	payload := f.buf[f.start+FrameHeader : f.start+whole : f.start+whole]
	f.start += whole
	if whole > keptBuffer {
		f.smallFrames = 0
	} else {
		f.smallFrames++
	}
	return payload, nil
}

// Ready tells whether the next Read returns at once, from what has been read
// already. A server uses it to answer what arrived together in one go.
func (f *FrameReader) Ready() bool {
	buffered := f.end - f.start
	if buffered < FrameHeader {
		return false
	}
	length := binary.BigEndian.Uint32(f.buf[f.start:])
	return uint64(length) > uint64(f.max) || buffered-FrameHeader >= int(length)
}

// Rest returns a reader of everything after the last frame that was read, for
// streams on which raw bytes follow a header. The FrameReader must not be used
// afterwards.
func (f *FrameReader) Rest() io.Reader { return (*rest)(f) }

type rest FrameReader

// Read hands out what was buffered, then reads the source itself.
func (r *rest) Read(p []byte) (int, error) {
	if r.start < r.end {
		n := copy(p, r.buf[r.start:r.end])
		r.start += n
		return n, nil
	}
	if r.pending != nil {
		err := r.pending
		r.pending = nil
		return 0, err
	}
	return r.src.Read(p)
}

// fill reads until n bytes are buffered.
func (f *FrameReader) fill(n int) error {
	for empty := 0; f.end-f.start < n; {
		if f.pending != nil {
			return f.takePending()
		}
		f.makeRoom()
		space := f.buf[f.end:]
		read, err := f.src.Read(space)
		f.end += read
		f.pending = err
		f.wantLarger = read == len(space)
		if read == 0 && err == nil {
			if empty++; empty == maxEmptyReads {
				return io.ErrNoProgress
			}
			continue
		}
		empty = 0
	}
	return nil
}

func (f *FrameReader) takePending() error {
	err := f.pending
	f.pending = nil
	if errors.Is(err, io.EOF) {
		// io.EOF is for ever: the next Read shall not ask src again.
		f.pending = err
		if f.start != f.end {
			return fmt.Errorf("transport: stream ended inside a frame: %w", io.ErrUnexpectedEOF)
		}
		return io.EOF
	}
	return err
}

// makeRoom leaves at least one free byte behind end. The buffer at most doubles
// when it is full, so it is never more than twice what arrived.
func (f *FrameReader) makeRoom() {
	switch {
	case f.buf == nil:
		f.buf = make([]byte, firstReadBuffer)
	case f.start == f.end:
		f.start, f.end = 0, 0
		if f.wantLarger && len(f.buf) < readAhead {
			f.buf = make([]byte, 2*len(f.buf))
		}
	case f.end < len(f.buf):
	case f.start > 0:
		f.end = copy(f.buf, f.buf[f.start:f.end])
		f.start = 0
	default:
		larger := make([]byte, min(2*len(f.buf), max(readAhead, FrameHeader+f.max)))
		f.end = copy(larger, f.buf)
		f.buf = larger
	}
}

func (f *FrameReader) shrink() {
	if len(f.buf) > keptBuffer && f.start == f.end && f.smallFrames >= smallFramesBeforeShrink {
		f.buf, f.start, f.end = make([]byte, readAhead), 0, 0
	}
}

// ReadMessage reads the next frame into m, which it resets first. Errors are
// those of FrameReader.Read, and ErrMalformed.
func ReadMessage(f *FrameReader, m proto.Message) error {
	payload, err := f.Read()
	if err != nil {
		return err
	}
	return DecodeMessage(payload, m)
}

// DecodeMessage decodes a frame's payload into m, which it resets first. m keeps
// no reference to payload. The error wraps ErrMalformed.
func DecodeMessage(payload []byte, m proto.Message) error {
	if err := proto.Unmarshal(payload, m); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}

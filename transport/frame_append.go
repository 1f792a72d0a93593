package transport

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// AppendFrame appends payload as one frame to dst. A payload above MaxFrame is a
// bug and panics.
func AppendFrame(dst, payload []byte) []byte {
	if len(payload) > MaxFrame {
		panic(fmt.Sprintf("transport: payload of %d bytes, limit %d", len(payload), MaxFrame))
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	return append(dst, payload...)
}

// AppendMessage appends m as one frame to dst. On an error, ErrFrameTooLarge or
// that of the encoder, dst is returned as it was.
func AppendMessage(dst []byte, m proto.Message) ([]byte, error) {
	before := len(dst)
	framed, err := proto.MarshalOptions{}.MarshalAppend(append(dst, 0, 0, 0, 0), m)
	if err != nil {
		return dst, fmt.Errorf("transport: encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	length := len(framed) - before - FrameHeader
	if length > MaxFrame {
		return dst, fmt.Errorf("%w: %s of %d bytes, limit %d",
			ErrFrameTooLarge, m.ProtoReflect().Descriptor().Name(), length, MaxFrame)
	}
	binary.BigEndian.PutUint32(framed[before:], uint32(length))
	return framed, nil
}

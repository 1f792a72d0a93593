package raftwire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// A stored snapshot is a head, then the machine's image, compressed with zstd and
// with zstd's own checksum. The same bytes are on disk and on the wire.
//
//	head  magic (4), version (2), zero (2), index (8), term (8), crc32c (4)
const (
	imageMagic   = "LKSI"
	imageVersion = 1
	imageHead    = 4 + 2 + 2 + 8 + 8 + 4
	// imageWindow bounds what decompressing may cost in memory.
	imageWindow = 8 << 20
)

// WriteImage writes image, taken at index and term, in the form in which
// snapshots are stored. It is for tools; Raft's snapshots take the same way.
func WriteImage(w io.Writer, index, term uint64, image Image) error {
	head := make([]byte, 0, imageHead)
	head = append(head, imageMagic...)
	head = binary.BigEndian.AppendUint16(head, imageVersion)
	head = append(head, 0, 0)
	head = binary.BigEndian.AppendUint64(head, index)
	head = binary.BigEndian.AppendUint64(head, term)
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	if _, err := w.Write(head); err != nil {
		return err
	}
	packed, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return err
	}
	if err := image.WriteSnapshot(packed); err != nil {
		return errors.Join(err, packed.Close())
	}
	return packed.Close()
}

// ReadImage reads a stored snapshot: it tells index and term, and hands the
// machine's image to read, which must consume all of it.
func ReadImage(r io.Reader, read func(index, term uint64, image io.Reader) error) error {
	head := make([]byte, imageHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return fmt.Errorf("%w: head: %w", ErrBadSnapshot, err)
	}
	sum := binary.BigEndian.Uint32(head[imageHead-4:])
	switch got := crc32.Checksum(head[:imageHead-4], castagnoli); {
	case string(head[:4]) != imageMagic:
		return fmt.Errorf("%w: it does not begin with %q", ErrBadSnapshot, imageMagic)
	case got != sum:
		return fmt.Errorf("%w: checksum of the head %08x, stored %08x", ErrBadSnapshot, got, sum)
	case binary.BigEndian.Uint16(head[4:]) != imageVersion:
		return fmt.Errorf("%w: version %d is unknown: it was written by a newer program", ErrBadSnapshot, binary.BigEndian.Uint16(head[4:]))
	}
	// To zstd, no frame at all is an empty image.
	body := bufio.NewReader(r)
	if _, err := body.Peek(1); err != nil {
		return fmt.Errorf("%w: it ends behind its head: %w", ErrBadSnapshot, err)
	}
	packed, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(imageWindow))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadSnapshot, err)
	}
	defer packed.Close()
	if err := read(binary.BigEndian.Uint64(head[8:]), binary.BigEndian.Uint64(head[16:]), packed); err != nil {
		return err
	}
	// The checksum is at the end: an image that is not read to its end is not checked.
	switch n, err := io.Copy(io.Discard, packed); {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrBadSnapshot, err)
	case n > 0:
		return fmt.Errorf("%w: %d bytes too many", ErrBadSnapshot, n)
	}
	return nil
}

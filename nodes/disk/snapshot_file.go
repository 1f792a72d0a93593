//go:build unix

package disk

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/hashicorp/raft"
)

// A snapshot file is
//
//	magic (8), data, description (JSON), foot
//	foot  length of the data (8), of the description (4), crc32c (4), magic (8)
//
// with big endian integers and a checksum over everything before it. A file that
// was cut off anywhere has no foot.
const (
	snapshotMagic = "LKSNAP01"
	snapshotFoot  = 8 + 4 + 4 + len(snapshotMagic)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeFoot writes what follows the data. sum tells the checksum of everything
// written so far.
func writeFoot(w io.Writer, meta raft.SnapshotMeta, sum func() (uint32, error)) error {
	description, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	lengths := binary.BigEndian.AppendUint64(description, uint64(meta.Size))
	lengths = binary.BigEndian.AppendUint32(lengths, uint32(len(description)))
	if _, err := w.Write(lengths); err != nil {
		return err
	}
	checksum, err := sum()
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, checksum), snapshotMagic...))
	return err
}

// readMeta reads the description of a snapshot. It checks the structure; verify
// checks the rest.
func readMeta(path string) (*raft.SnapshotMeta, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	defer f.Close()
	damaged := func(format string, args ...any) (*raft.SnapshotMeta, error) {
		return nil, fmt.Errorf("%w: snapshot %s: %s", ErrDamaged, path, fmt.Sprintf(format, args...))
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	size := info.Size()
	if size < int64(len(snapshotMagic)+snapshotFoot) {
		return damaged("%d bytes are too few", size)
	}
	foot := make([]byte, snapshotFoot)
	if _, err := f.ReadAt(foot, size-int64(snapshotFoot)); err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	if string(foot[16:]) != snapshotMagic {
		return damaged("it has no end")
	}
	data, described := binary.BigEndian.Uint64(foot), int64(binary.BigEndian.Uint32(foot[8:]))
	if described > maxSnapshotMeta || data > uint64(size) ||
		int64(len(snapshotMagic))+int64(data)+described+int64(snapshotFoot) != size {
		return damaged("its parts do not add up to its size")
	}
	description := make([]byte, described)
	if _, err := f.ReadAt(description, int64(len(snapshotMagic))+int64(data)); err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	meta := new(raft.SnapshotMeta)
	if err := json.NewDecoder(bytes.NewReader(description)).Decode(meta); err != nil {
		return damaged("description: %v", err)
	}
	if meta.Size != int64(data) {
		return damaged("its description speaks of %d bytes, there are %d", meta.Size, data)
	}
	return meta, nil
}

// verify reads a snapshot from its first to its last byte.
func verify(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	covered := info.Size() - int64(4+len(snapshotMagic))
	if covered < 0 {
		return fmt.Errorf("%w: snapshot %s: %d bytes are too few", ErrDamaged, path, info.Size())
	}
	from := bufio.NewReaderSize(f, writeBuffer)
	sum := crc32.New(castagnoli)
	if _, err := io.CopyN(sum, from, covered); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	stored := make([]byte, 4)
	if _, err := io.ReadFull(from, stored); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	if want := binary.BigEndian.Uint32(stored); want != sum.Sum32() {
		return fmt.Errorf("%w: snapshot %s: checksum %08x, stored %08x: remove this node from the cluster and add a new one",
			ErrDamaged, path, sum.Sum32(), want)
	}
	return nil
}

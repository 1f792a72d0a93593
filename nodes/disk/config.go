//go:build unix

package disk

import (
	"errors"
	"fmt"
)

// Identity says whose directory it is. It is written once, with the directory.
type Identity struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	// Lineage is 0 in Config to mean: whichever the directory has, and 1 for a new
	// directory.
	Lineage uint64 `json:"lineage"`
}

// Config says which directory to open, for whom. Start from DefaultConfig.
type Config struct {
	// Directory is created if it does not exist.
	Directory string
	Identity  Identity
	// MinFree is how many free bytes the file system must have at the start.
	MinFree uint64
	// SegmentSize is the size of a log segment in bytes, 64 KiB to 1 GiB. A segment
	// takes its place on the disk before it is written.
	SegmentSize int
}

// DefaultConfig returns a Config in which Directory and Identity are missing.
func DefaultConfig() Config {
	return Config{MinFree: 256 << 20, SegmentSize: 16 << 20}
}

// Validate says which field makes no sense, and why.
func (c Config) Validate() error {
	var problems []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("disk: "+format, args...))
		}
	}
	refuse(c.Directory == "", "Directory is empty")
	refuse(c.Identity.Cluster == "", "Identity.Cluster is empty")
	refuse(c.Identity.Node == "", "Identity.Node is empty")
	refuse(c.SegmentSize < minSegment || c.SegmentSize > maxSegment,
		"SegmentSize %d is not within %d..%d", c.SegmentSize, minSegment, maxSegment)
	return errors.Join(problems...)
}

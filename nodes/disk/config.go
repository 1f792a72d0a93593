//go:build !wasip1

package disk

import (
	"log/slog"

	"lockstep/nodes/raftwire"
)

// Identity says whose directory it is. It is written once.
type Identity struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Lineage uint64 `json:"lineage"`
}

// Config says which directory to open, for whom.
type Config struct {
	// Directory is created if it does not exist.
	Directory string
	Identity  Identity
	// MinFree is how many free bytes the file system must have at the start.
	MinFree uint64
	// SegmentSize is the size of a log segment in bytes.
	SegmentSize int
}

// DefaultConfig returns a Config in which Directory and Identity are missing.
func DefaultConfig() Config {
	return Config{MinFree: 256 << 20, SegmentSize: 16 << 20}
}

// Open opens or creates the directory, locks it against other processes and
// checks whose it is: ErrLocked, ErrForeign, ErrDamaged, ErrNoSpace.
func Open(cfg Config, logger *slog.Logger) (*Directory, error) { panic("disk: being built") }

// Directory is an open data directory.
type Directory struct{}

// Stores are what raftwire.Open takes.
func (d *Directory) Stores() raftwire.Stores { panic("disk: being built") }

// Close closes the stores and unlocks the directory. Raft must have been shut down.
func (d *Directory) Close() error { panic("disk: being built") }

//go:build unix

package disk

import "errors"

var (
	// ErrLocked is returned by Open when another process has the directory open.
	ErrLocked = errors.New("disk: directory is in use by another process")
	// ErrForeign is returned by Open for a directory of another cluster, node or
	// lineage.
	ErrForeign = errors.New("disk: directory belongs to somebody else")
	// ErrDamaged is returned by Open for a directory, and by snapshot stores for a
	// file, whose contents are not what was written.
	ErrDamaged = errors.New("disk: damaged")
	// ErrNoSpace is returned by Open when the file system has too little room.
	ErrNoSpace = errors.New("disk: too little free space")
)

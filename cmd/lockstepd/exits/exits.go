// Package exits numbers how `lockstepd` ends: what a supervisor may conclude and do
// next. It ends nothing itself.
package exits

import "fmt"

// Code is the exit code of `lockstepd serve`: what a supervisor should do next.
type Code int

// The exit codes, those of sysexits.h where it has one.
const (
	// OK: stopped as asked.
	OK Code = 0
	// Failure: something unexpected.
	Failure Code = 1
	// Usage: wrong flags.
	Usage Code = 64
	// Halted: the node stopped itself to keep its promises; start it again.
	Halted Code = 70
	// DiskFull: no space is left; make room, then start it again.
	DiskFull Code = 73
	// Disk: the disk failed, or what is on it is damaged; see to it first.
	Disk Code = 74
	// Busy: the port or the data directory is in use; try again later.
	Busy Code = 75
	// Config: the configuration cannot be used, or the data directory or the
	// certificates belong to somebody else; trying again does not help.
	Config Code = 78
)

// Restart tells whether starting the node again may help.
func (c Code) Restart() bool {
	switch c {
	case DiskFull, Disk, Config, Usage:
		return false
	case OK, Failure, Halted, Busy:
		return true
	}
	return true // a signal, or a panic of the runtime
}

// Meaning is the code in words, with what to do.
func (c Code) Meaning() string {
	switch c {
	case OK:
		return "stopped"
	case Failure:
		return "failed"
	case Usage:
		return "was started with wrong flags"
	case Halted:
		return "halted to keep its promises"
	case DiskFull:
		return "halted because its disk is full: make room, then start the cluster again; nothing acknowledged is lost"
	case Disk:
		return "halted because its disk failed or is damaged: see its last lines, and docs/operations.md"
	case Busy:
		return "found its port or its data directory in use"
	case Config:
		return "refused its configuration: see its last lines"
	}
	if c > 128 {
		return fmt.Sprintf("was ended by signal %d", int(c)-128)
	}
	return fmt.Sprintf("exited with %d", int(c))
}

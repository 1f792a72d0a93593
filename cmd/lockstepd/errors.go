//go:build unix

package main

import (
	"errors"
	"fmt"
	"syscall"

	"lockstep/cmd/lockstepd/dev"
	"lockstep/cmd/lockstepd/exits"
	"lockstep/cmd/lockstepd/settings"
	"lockstep/nodes/disk"
)

// codedError ends the program with a code.
type codedError struct {
	code exits.Code
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func coded(code exits.Code, format string, args ...any) error {
	return &codedError{code, fmt.Errorf(format, args...)}
}

func usagef(format string, args ...any) error { return coded(exits.Usage, format, args...) }

// codeOf is the exit code of an error.
func codeOf(err error) exits.Code {
	var known *codedError
	switch {
	case errors.As(err, &known):
		return known.code
	case errors.Is(err, settings.ErrSettings), errors.Is(err, disk.ErrForeign):
		return exits.Config
	case errors.Is(err, disk.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return exits.DiskFull
	case errors.Is(err, disk.ErrDamaged):
		return exits.Disk
	case errors.Is(err, disk.ErrLocked), errors.Is(err, syscall.EADDRINUSE), errors.Is(err, dev.ErrPlan):
		return exits.Busy
	default:
		return exits.Failure
	}
}

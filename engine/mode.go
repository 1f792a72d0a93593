package engine

import "lockstep/engine/mode"

// Mode is a lock mode.
type Mode = mode.Mode

const (
	// Shared lets other shared holders in.
	Shared = mode.Shared
	// Exclusive lets nobody in.
	Exclusive = mode.Exclusive
)

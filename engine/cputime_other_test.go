//go:build !linux

package engine

import "time"

// threadTime is not told by this system.
func threadTime() time.Duration { return 0 }

func lockThread() func() { return func() {} }

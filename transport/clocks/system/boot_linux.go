package system

import (
	"time"

	"github.com/jonboulle/clockwork"
	"golang.org/x/sys/unix"
)

// bootReader reads CLOCK_BOOTTIME. Kernels without it, and sandboxes that forbid
// it, get the fallback: decided once, so that readings are never mixed.
func bootReader(mono clockwork.Clock) func() time.Duration {
	var probe unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &probe); err != nil {
		return sinceStart(mono)
	}
	return func() time.Duration {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
			panic("clocks: CLOCK_BOOTTIME worked and works no more: " + err.Error())
		}
		return time.Duration(now.Nano())
	}
}

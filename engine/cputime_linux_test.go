package engine

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is what the calling thread has computed so far: how long something
// takes when nobody else wants the machine. The goroutine must be locked to it.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

func lockThread() func() {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

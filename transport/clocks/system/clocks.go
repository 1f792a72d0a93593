package system

import (
	"time"

	"github.com/jonboulle/clockwork"

	"lockstep/transport/clocks"
)

// Clocks returns the machine's clocks. Where the system has no clock that counts
// suspension, Boot equals the monotonic one: a belief is then not shortened by
// suspension as such, only by what the wall clock shows of it.
func Clocks() clocks.Clocks {
	mono := clockwork.NewRealClock()
	return clocks.Clocks{
		Mono: mono,
		Boot: bootReader(mono),
		Wall: func() time.Time { return mono.Now().Round(0) },
	}
}

// sinceStart is the monotonic time since the call, the fallback of every system.
func sinceStart(mono clockwork.Clock) func() time.Duration {
	start := mono.Now()
	return func() time.Duration { return mono.Since(start) }
}

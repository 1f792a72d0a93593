package clocks

import (
	"time"

	"github.com/jonboulle/clockwork"
)

// Clocks are the three clocks a process is given, because a single one cannot
// tell a jump of the wall clock from time passing. Safety code reads Mono; Boot
// and Wall only ever shorten a belief.
type Clocks struct {
	// Mono never jumps and stands still while the machine is suspended. All
	// timers run on it. Only differences of its readings mean anything.
	Mono clockwork.Clock
	// Boot is the time since some fixed instant, counting suspension.
	Boot func() time.Duration
	// Wall is what people call the time. It may jump either way.
	Wall func() time.Time
}

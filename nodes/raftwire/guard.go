package raftwire

import (
	"fmt"
	"time"

	"github.com/jonboulle/clockwork"
)

// guard keeps the errors and the slowness of stores away from Raft (rules U5 and
// U8). An error that Raft saw would leave the outcome of a write unknown to it,
// or make it panic; so the process ends first, and its next life finds on disk
// what happened.
type guard struct {
	clock    clockwork.Clock
	deadline time.Duration
	halt     func(reason string)
}

// fatal stops the process. It does not return, even if halt does.
func (g *guard) fatal(format string, args ...any) {
	g.halt(fmt.Sprintf(format, args...))
	select {}
}

// watch begins to watch a call that touches a disk; the caller stops the timer
// when the call is over. The call may block for ever: the timer does not need it.
func (g *guard) watch(operation string) clockwork.Timer {
	return g.clock.AfterFunc(g.deadline, func() {
		g.fatal("%s has taken longer than %v: the disk is stalled; "+
			"the outcome of what was being written is unknown until the restart", operation, g.deadline)
	})
}

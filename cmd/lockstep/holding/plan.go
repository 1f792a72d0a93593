package holding

import "time"

const (
	// LookInterval is how often belief is looked at even though nothing is due: a
	// suspended machine shows up in no timer.
	LookInterval = 250 * time.Millisecond
	// MaxKillMargin bounds how long before the end of belief the group is killed.
	MaxKillMargin = time.Second
)

// plan is when to act, counted back from the end of belief.
type plan struct {
	// warn is what remains of belief when the group gets SIGTERM: a third.
	warn time.Duration
	// kill is what remains when it gets SIGKILL: what signals and dying take.
	kill time.Duration
}

// planFor makes the plan for belief that lasts window when it was just renewed.
func planFor(window time.Duration) plan {
	return plan{warn: window / 3, kill: min(window/8, MaxKillMargin)}
}

// action is what to do with the group now.
type action uint8

const (
	// actWait lets it run.
	actWait action = 1
	// actWarn sends SIGTERM.
	actWarn action = 2
	// actKill sends SIGKILL.
	actKill action = 3
)

// decide says what to do with so much of belief remaining, and after how long to
// look again.
func (p plan) decide(held bool, remaining time.Duration, warned bool) (action, time.Duration) {
	switch {
	case !held || remaining <= p.kill:
		return actKill, 0
	case remaining <= p.warn && !warned:
		return actWarn, min(remaining-p.kill, LookInterval)
	case remaining <= p.warn:
		return actWait, min(remaining-p.kill, LookInterval)
	default:
		return actWait, min(remaining-p.warn, LookInterval)
	}
}

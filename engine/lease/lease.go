package lease

import "time"

// LogTime is time as the log counts it, in nanoseconds: the maximum of the
// stamps seen so far. It never runs backwards and stands still without a leader.
type LogTime int64

// End is the largest log time; deadlines beyond it are cut to it.
const End = LogTime(1) << 62

// Rate is r, the bound on clock rates, as a fraction 1 in Rate: rates lie within
// 1 +- 1/Rate.
const Rate = 100

// Sub returns the time from u to t.
func (t LogTime) Sub(u LogTime) time.Duration { return time.Duration(t - u) }

// Passed says whether a deadline has passed at now. A deadline of 0 is none.
func Passed(deadline, now LogTime) bool { return deadline != 0 && deadline <= now }

// Add returns the deadline d after now, at most End. d must not be negative.
func Add(now LogTime, d time.Duration) LogTime {
	if LogTime(d) > End-now {
		return End
	}
	return now + LogTime(d)
}

// MinGrace is the smallest sound grace: 2r TTL / (1+r), rounded up. A client whose
// clock is slow and a leader whose clock is fast then still agree that belief
// ends before expiry.
func MinGrace(ttl time.Duration) time.Duration {
	return (2*ttl + Rate) / (Rate + 1)
}

// DefaultGrace is two fifths of the TTL: three missed heartbeats mean jeopardy.
func DefaultGrace(ttl time.Duration) time.Duration { return ttl * 2 / 5 }

// Embargo is the time until which nothing may weaken a session's grants after a
// take-over at from: a TTL later, and a TTL after each tenure that began while
// the embargo was pending, since a new tenure learns of the old incarnation's
// belief from nobody. tenures are the beginnings of the last tenures, ascending,
// the unused ones 0; complete says that no older ones were forgotten.
//
// When beginnings after from were forgotten, the embargo is taken to have been
// pending at the oldest one remembered: late, never early.
func Embargo(from LogTime, ttl time.Duration, tenures []LogTime, complete bool) LogTime {
	end := Add(from, ttl)
	for i, began := range tenures {
		forgotten := i == 0 && !complete
		if began > from && (forgotten || began < end) {
			end = Add(began, ttl)
		}
	}
	return end
}

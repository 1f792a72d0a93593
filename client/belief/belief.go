package belief

import "time"

// RatePercent is r, the bound on how far a clock's rate is from true time, in
// percent.
const RatePercent = 1

// Reading is what a process's three clocks said at one instant.
type Reading struct {
	// Mono never jumps and does not count suspension. It decides.
	Mono time.Time
	// Boot counts suspension, Wall is what people call the time: both only ever
	// shorten a belief.
	Boot time.Duration
	Wall time.Time
}

// Span is the belief in something for a length of time from a reading. The zero
// Span believes nothing. It is not safe for concurrent use.
type Span struct {
	from   Reading
	length time.Duration
	// ended latches: a belief that was seen to end does not come back when a wall
	// clock that jumped forward jumps back.
	ended bool
}

// Since believes for length from the reading, which must have been taken before
// what is believed in was asked for.
func Since(from Reading, length time.Duration) Span {
	return Span{from: from, length: length, ended: length <= 0}
}

// Remaining is for how long, from now on, the belief holds if no clock jumps; 0
// when it has ended.
func (s *Span) Remaining(now Reading) time.Duration {
	if s.ended || s.length <= 0 {
		return 0
	}
	left := s.length - s.from.Elapsed(now)
	if left <= 0 {
		s.ended = true
		return 0
	}
	return left
}

// Elapsed is the most that any of the three clocks says has passed from r to
// now; never negative.
func (r Reading) Elapsed(now Reading) time.Duration {
	// Round(0) drops the monotonic part that readings of the real wall clock carry
	// beside: with it the difference would not show a jump.
	wall := now.Wall.Round(0).Sub(r.Wall.Round(0))
	return max(now.Mono.Sub(r.Mono), now.Boot-r.Boot, wall, 0)
}

// Later returns the one of two spans that believes longer.
func Later(a, b Span, now Reading) Span {
	if b.Remaining(now) > a.Remaining(now) {
		return b
	}
	return a
}

// SessionLength is for how long a client believes in its session after sending a
// heartbeat that is acknowledged.
func SessionLength(ttl, grace time.Duration) time.Duration { return ttl - grace }

// MinGrace is the smallest grace that clock rates within 1-r and 1+r allow,
// rounded up.
func MinGrace(ttl time.Duration) time.Duration {
	const denominator = 100 + RatePercent
	whole, rest := ttl/denominator, ttl%denominator
	return whole*2*RatePercent + (rest*2*RatePercent+denominator-1)/denominator
}

// HoldLength is for how long a client believes in a grant whose hold, or what
// remained of it when asked, is so long: hold (1-2r), rounded down.
func HoldLength(hold time.Duration) time.Duration {
	whole, rest := hold/100, hold%100
	return whole*(100-2*RatePercent) + rest*(100-2*RatePercent)/100
}

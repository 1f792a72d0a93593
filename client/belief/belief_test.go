package belief_test

import (
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/assert"

	"lockstep/client/belief"
)

var zero = belief.Reading{Mono: time.Unix(1_000_000, 0), Boot: time.Hour, Wall: time.Unix(2_000_000_000, 0)}

// after is zero with each clock moved on by its own amount.
func after(mono, boot, wall time.Duration) belief.Reading {
	return belief.Reading{Mono: zero.Mono.Add(mono), Boot: zero.Boot + boot, Wall: zero.Wall.Add(wall)}
}

func TestRemaining(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		now  belief.Reading
		want time.Duration
	}{
		"at the start":                     {after(0, 0, 0), 6 * s},
		"all clocks agree":                 {after(2*s, 2*s, 2*s), 4 * s},
		"a nanosecond before the end":      {after(6*s-1, 6*s-1, 6*s-1), 1},
		"at the end":                       {after(6*s, 6*s, 6*s), 0},
		"long after":                       {after(time.Hour, time.Hour, time.Hour), 0},
		"suspended meanwhile":              {after(1*s, 5*s, 5*s), 1 * s},
		"suspended past the end":           {after(1*s, 7*s, 7*s), 0},
		"wall jumped forward":              {after(1*s, 1*s, 3*s), 3 * s},
		"wall jumped forward past the end": {after(1*s, 1*s, time.Hour), 0},
		"wall jumped back":                 {after(2*s, 2*s, -time.Hour), 4 * s},
		"suspended, wall set back":         {after(1*s, 5*s, -time.Hour), 1 * s},
	} {
		t.Run(name, func(t *testing.T) {
			span := belief.Since(zero, 6*s)
			assert.Equal(t, c.want, span.Remaining(c.now))
		})
	}
}

func TestEndedBeliefNeverComesBack(t *testing.T) {
	span := belief.Since(zero, 6*time.Second)
	assert.Zero(t, span.Remaining(after(time.Second, time.Second, time.Hour)), "the wall clock jumped forward")
	assert.Zero(t, span.Remaining(after(2*time.Second, 2*time.Second, 2*time.Second)), "and back")
}

func TestNothingBelievesNothing(t *testing.T) {
	var none belief.Span
	assert.Zero(t, none.Remaining(zero))
	empty := belief.Since(zero, 0)
	assert.Zero(t, empty.Remaining(zero))
	negative := belief.Since(zero, -time.Second)
	assert.Zero(t, negative.Remaining(zero))
}

func TestRealWallClockCarriesNoMonotonicReading(t *testing.T) {
	start := belief.Reading{Mono: zero.Mono, Boot: zero.Boot, Wall: clockwork.NewRealClock().Now()}
	// A wall clock that jumped ahead: its monotonic part would hide it.
	jumped := start
	jumped.Wall = time.Unix(0, start.Wall.Add(time.Hour).UnixNano())
	assert.InDelta(t, time.Hour, start.Elapsed(jumped), float64(time.Second))
}

func TestLater(t *testing.T) {
	short, long := belief.Since(zero, time.Second), belief.Since(zero, time.Minute)
	now := after(0, 0, 0)
	for name, got := range map[string]belief.Span{
		"longer first":  belief.Later(long, short, now),
		"longer second": belief.Later(short, long, now),
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, time.Minute, got.Remaining(now)) })
	}
}

func TestMinGrace(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		0:                       0,
		101 * time.Second:       2 * time.Second,
		101*time.Second + 1:     2*time.Second + 1,
		10 * time.Second:        198019802,
		24 * time.Hour:          1710891089109,
		1<<63 - 1:               182641030432767838,
		3 * time.Second:         59405941,
		100 * time.Microsecond:  1981,
		202 * time.Nanosecond:   4,
		101 * time.Nanosecond:   2,
		time.Nanosecond:         1,
		2020 * time.Millisecond: 40 * time.Millisecond,
	} {
		t.Run(ttl.String(), func(t *testing.T) { assert.Equal(t, want, belief.MinGrace(ttl)) })
	}
}

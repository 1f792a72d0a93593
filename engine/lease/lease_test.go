package lease

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

const s = LogTime(time.Second)

func TestDeadlinesSaturate(t *testing.T) {
	assert.Equal(t, 12*s, Add(2*s, 10*time.Second))
	assert.Equal(t, End, Add(End-1, time.Second))
	assert.Equal(t, End, Add(End, 0))
}

func TestPassed(t *testing.T) {
	assert.False(t, Passed(0, 5*s), "no deadline never passes")
	assert.False(t, Passed(5*s, 5*s-1))
	assert.True(t, Passed(5*s, 5*s), "a deadline takes effect at its time")
	assert.Equal(t, 3*time.Second, (5 * s).Sub(2*s))
}

// The formula of DESIGN.md 3, in exact arithmetic: grace (1+r) >= 2r TTL.
func TestProp_MinGraceIsTheSmallestThatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl := rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "ttl")
		fits := func(grace int64) bool { return grace*(Rate+1) >= 2*ttl }
		g := int64(MinGrace(time.Duration(ttl)))
		assert.True(t, fits(g))
		assert.False(t, fits(g-1))
		assert.Less(t, g, int64(DefaultGrace(time.Duration(ttl))))
	})
}

func TestEmbargo(t *testing.T) {
	const ttl = 10 * time.Second
	for _, c := range []struct {
		name     string
		from     LogTime
		tenures  []LogTime
		complete bool
		want     LogTime
	}{
		{"a TTL after the take-over", 100 * s, []LogTime{50 * s}, true, 110 * s},
		{"restarted by a new tenure", 100 * s, []LogTime{50 * s, 105 * s}, true, 115 * s},
		{"restarted again and again", 100 * s, []LogTime{105 * s, 114 * s, 120 * s}, true, 130 * s},
		{"not restarted once it has ended", 100 * s, []LogTime{50 * s, 110 * s}, true, 110 * s},
		{"not restarted after a gap", 100 * s, []LogTime{105 * s, 115 * s}, true, 115 * s},
		{"older tenures do not matter", 100 * s, []LogTime{95 * s, 100 * s}, true, 110 * s},
		{"forgotten tenures may have carried it on", 100 * s, []LogTime{150 * s, 155 * s}, false, 165 * s},
		{"but not over a gap", 100 * s, []LogTime{150 * s, 160 * s}, false, 160 * s},
		{"forgotten before the take-over", 100 * s, []LogTime{90 * s, 105 * s}, false, 115 * s},
		{"no tenure yet", 100 * s, nil, true, 110 * s},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, Embargo(c.from, ttl, c.tenures, c.complete))
		})
	}
}

// Forgetting may only lengthen an embargo.
func TestProp_ForgottenTenuresNeverShortenAnEmbargo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var begins []LogTime
		now := LogTime(1)
		for range rapid.IntRange(0, 12).Draw(t, "tenures") {
			now += LogTime(rapid.Int64Range(0, int64(12*s)).Draw(t, "gap"))
			begins = append(begins, now)
		}
		from := LogTime(rapid.Int64Range(1, int64(100*s)).Draw(t, "from"))
		keep := rapid.IntRange(0, len(begins)).Draw(t, "keep")
		exact := Embargo(from, 10*time.Second, begins, true)
		kept := begins[len(begins)-keep:]
		if keep == 0 && len(begins) > 0 {
			return // an engine that has seen tenures remembers at least one
		}
		assert.GreaterOrEqual(t, Embargo(from, 10*time.Second, kept, keep == len(begins)), exact)
	})
}

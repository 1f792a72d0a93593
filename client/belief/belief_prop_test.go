package belief_test

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lockstep/client/belief"
)

// skewed is a clock that runs at some rate of true time, in millionths.
type skewed struct{ offset, ppm int64 }

func drawSkewed(t *rapid.T, label string) skewed {
	return skewed{
		offset: rapid.Int64Range(0, int64(time.Hour)).Draw(t, label+" offset"),
		ppm:    rapid.Int64Range(1_000_000-belief.RatePercent*10_000, 1_000_000+belief.RatePercent*10_000).Draw(t, label+" rate"),
	}
}

// at is the clock's reading at an instant of true time, rounded down.
func (c skewed) at(truth int64) int64 {
	product := new(big.Int).Mul(big.NewInt(truth), big.NewInt(c.ppm))
	return c.offset + product.Div(product, big.NewInt(1_000_000)).Int64()
}

// reaches is the first instant of true time at which the clock has moved on by d
// since from.
func (c skewed) reaches(from int64, d time.Duration) int64 {
	target := new(big.Int).Mul(big.NewInt(c.at(from)-c.offset+int64(d)), big.NewInt(1_000_000))
	quotient, rest := target.DivMod(target, big.NewInt(c.ppm), new(big.Int))
	if rest.Sign() > 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return quotient.Int64()
}

func (c skewed) reading(truth int64) belief.Reading {
	now := c.at(truth)
	return belief.Reading{Mono: time.Unix(0, now), Boot: time.Duration(now), Wall: time.Unix(0, now)}
}

// A heartbeat's fate, in true time: when it is sent, how long it and its answer
// travel, whether the answer arrives.
type beat struct {
	sent, there, back int64
	lost, answerLost  bool
}

// TestProp_NeverBelievesWhenServiceMayExpire plays heartbeats with any delays and
// losses between two clocks of any permitted rates. The service's deadline counts
// from the receipt; whoever believes at or after it breaks exclusion.
func TestProp_NeverBelievesWhenServiceMayExpire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.Int64Range(int64(3*time.Second), int64(24*time.Hour)).Draw(t, "ttl"))
		grace := time.Duration(rapid.Int64Range(int64(belief.MinGrace(ttl)), int64(ttl)-1).Draw(t, "grace"))
		client, server := drawSkewed(t, "client"), drawSkewed(t, "server")
		length := belief.SessionLength(ttl, grace)

		span := belief.Since(client.reading(0), length)
		expiry := server.reaches(0, ttl)
		truth := int64(0)
		for range rapid.IntRange(0, 20).Draw(t, "beats") {
			truth += rapid.Int64Range(0, int64(ttl)).Draw(t, "pause")
			b := beat{
				sent:       truth,
				there:      rapid.Int64Range(0, int64(ttl)).Draw(t, "there"),
				back:       rapid.Int64Range(0, int64(2*ttl)).Draw(t, "back"),
				lost:       rapid.Bool().Draw(t, "lost"),
				answerLost: rapid.Bool().Draw(t, "answer lost"),
			}
			arrives := b.sent + b.there
			if b.lost || arrives >= expiry {
				continue // never acknowledged
			}
			expiry = max(expiry, server.reaches(arrives, ttl))
			if !b.answerLost {
				// Answers may overtake each other: the span that believes longer is kept.
				now := client.reading(arrives + b.back)
				span = belief.Later(span, belief.Since(client.reading(b.sent), length), now)
			}
		}
		for _, late := range []int64{0, 1, int64(time.Millisecond), int64(ttl)} {
			// Readings are rounded to the nanosecond, which is not what this is about.
			now := client.reading(expiry + 2 + late)
			if left := span.Remaining(now); left > 0 {
				t.Fatalf("ttl %v grace %v: believes for another %v when the service expired it %v ago", ttl, grace, left, time.Duration(late))
			}
		}
	})
}

// TestProp_NeverBelievesPastTheHold does the same for timed holds, whose clock
// starts at the service some time after the client asked.
func TestProp_NeverBelievesPastTheHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hold := time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "hold"))
		client, server := drawSkewed(t, "client"), drawSkewed(t, "server")
		sent := rapid.Int64Range(0, int64(time.Hour)).Draw(t, "sent")
		granted := sent + rapid.Int64Range(0, int64(time.Hour)).Draw(t, "delay")

		span := belief.Since(client.reading(sent), belief.HoldLength(hold))
		end := server.reaches(granted, hold)
		if left := span.Remaining(client.reading(end + 2)); left > 0 {
			t.Fatalf("hold %v: believes for another %v after its end", hold, left)
		}
	})
}

// TestProp_OtherClocksOnlyShorten compares with the belief on Mono alone.
func TestProp_OtherClocksOnlyShorten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "length"))
		jump := rapid.Int64Range(-int64(time.Hour), int64(time.Hour))
		now := zero
		all, alone := belief.Since(zero, length), belief.Since(zero, length)
		last := length
		for range rapid.IntRange(1, 10).Draw(t, "questions") {
			passed := time.Duration(rapid.Int64Range(0, int64(10*time.Minute)).Draw(t, "passed"))
			suspended := time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "suspended"))
			now.Mono = now.Mono.Add(passed)
			now.Boot += passed + suspended
			now.Wall = now.Wall.Add(time.Duration(jump.Draw(t, "jump")))
			left := all.Remaining(now)
			monoOnly := belief.Reading{Mono: now.Mono, Boot: zero.Boot, Wall: zero.Wall}
			if most := alone.Remaining(monoOnly); left > most {
				t.Fatalf("believes for %v, Mono alone for %v", left, most)
			}
			if last == 0 && left > 0 {
				t.Fatalf("belief came back for %v", left)
			}
			last = left
		}
	})
}

// TestProp_MinGraceIsTight: a nanosecond-scale smaller grace already fails for
// the worst rates, so the formula asks for no more than needed.
func TestProp_MinGraceIsTight(t *testing.T) {
	slow, fast := skewed{ppm: 1_000_000 - belief.RatePercent*10_000}, skewed{ppm: 1_000_000 + belief.RatePercent*10_000}
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.Int64Range(int64(3*time.Second), int64(24*time.Hour)).Draw(t, "ttl"))
		span := belief.Since(slow.reading(0), belief.SessionLength(ttl, belief.MinGrace(ttl)-10))
		if span.Remaining(slow.reading(fast.reaches(0, ttl))) == 0 {
			t.Fatal("a grace 10 ns below the minimum is safe: the minimum is larger than needed")
		}
	})
}

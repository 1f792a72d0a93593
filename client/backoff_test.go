package client

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestPauseGrowsToItsCeiling(t *testing.T) {
	most := func(n int64) int64 { return n - 1 }
	for name, c := range map[string]struct {
		n    int
		want time.Duration
	}{
		"first":            {0, 20 * time.Millisecond},
		"second":           {1, 40 * time.Millisecond},
		"sixth":            {5, 640 * time.Millisecond},
		"at the ceiling":   {7, 2 * time.Second},
		"beyond":           {30, 2 * time.Second},
		"absurdly far":     {1000, 2 * time.Second},
		"where it shifts":  {62, 2 * time.Second},
		"just below there": {61, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, pause(c.n, 20*time.Millisecond, 2*time.Second, most))
		})
	}
}

func TestProp_PauseIsWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lowest := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "lowest"))
		highest := time.Duration(rapid.Int64Range(int64(lowest), int64(24*time.Hour)).Draw(t, "highest"))
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		got := pause(rapid.IntRange(0, 200).Draw(t, "n"), lowest, highest, rng.Int64N)
		if got < 0 || got > highest {
			t.Fatalf("pause %v is not within 0 and %v", got, highest)
		}
	})
}

func TestFillCoversEveryByte(t *testing.T) {
	for n := range 20 {
		d := dice{rng: rand.New(rand.NewPCG(1, 2))}
		seen := make([]byte, n)
		for range 64 {
			b := make([]byte, n)
			d.fill(b)
			for i := range b {
				seen[i] |= b[i]
			}
		}
		for i := range seen {
			assert.Equal(t, byte(0xff), seen[i], "byte %d of %d", i, n)
		}
	}
}

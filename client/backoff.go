package client

import (
	"math/rand/v2"
	"sync"
	"time"
)

// pause is the n-th pause between attempts, from n = 0: exponential with full
// jitter (Brooker, "Exponential Backoff and Jitter"), so that clients that failed
// together do not come back together. draw returns an even choice from [0, n).
func pause(n int, lowest, highest time.Duration, draw func(n int64) int64) time.Duration {
	ceiling := highest
	if n < 62 && lowest <= highest>>n {
		ceiling = lowest << n
	}
	return time.Duration(draw(int64(ceiling) + 1))
}

// dice shares one generator among goroutines.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

// draw is an even choice from [0, n).
func (d *dice) draw(n int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.Int64N(n)
}

// fill fills b with chance.
func (d *dice) fill(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := 0; i < len(b); i += 8 {
		word := d.rng.Uint64()
		for j := i; j < min(i+8, len(b)); j++ {
			b[j] = byte(word)
			word >>= 8
		}
	}
}

// shuffle mixes n things.
func (d *dice) shuffle(n int, swap func(i, j int)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rng.Shuffle(n, swap)
}

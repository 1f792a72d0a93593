package fingerprint

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Digests are compared between machines and kept in snapshots: these values
// must never change.
func TestFingerprintsArePinned(t *testing.T) {
	for _, c := range []struct {
		name string
		seed uint64
		p    string
		want string
	}{
		{"nothing", 0, "", "d6a7f1e161c7a019"},
		{"short", 1, "abc", "20817f316448255b"},
		{"long", 2, "the quick brown fox jumps over the lazy dog", "569595269fa823bb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, fmt.Sprintf("%016x", Of(c.seed, []byte(c.p))))
		})
	}
}

func TestSmallDifferencesMakeDifferentFingerprints(t *testing.T) {
	seen := map[uint64]string{}
	note := func(seed uint64, p []byte) {
		id := fmt.Sprintf("%d %x", seed, p)
		h := Of(seed, p)
		other, found := seen[h]
		require.False(t, found, "%s and %s", id, other)
		seen[h] = id
	}
	for n := range 70 {
		zeros := make([]byte, n)
		note(0, zeros)
		note(1, zeros)
		for i := range zeros {
			for bit := range 8 {
				p := make([]byte, n)
				p[i] = 1 << bit
				note(0, p)
			}
		}
	}
}

func TestBitsAreSpread(t *testing.T) {
	var ones [64]int
	const n = 4096
	for i := range n {
		h := Of(0, fmt.Appendf(nil, "/bench/%d", i))
		for b := range ones {
			ones[b] += int(h >> b & 1)
		}
	}
	for b, c := range ones {
		assert.InDelta(t, n/2, c, n/10, "bit %d", b)
	}
}

func BenchmarkOf(b *testing.B) {
	p := make([]byte, 200)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		Of(0, p)
	}
}

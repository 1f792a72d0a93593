//go:build unix

package disk

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// BenchmarkAppend is one durable append of one entry, as the leader and each
// follower make it; data goes to TMPDIR.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{200, 5 << 10, 20 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			d, err := Open(benchConfig(b), quiet())
			require.NoError(b, err)
			defer d.Close()
			data := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for index := uint64(1); b.Loop(); index++ {
				if err := d.Stores().Log.StoreLog(&raft.Log{Index: index, Term: 1, Data: data}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVote is one durable write of a small value.
func BenchmarkVote(b *testing.B) {
	d, err := Open(benchConfig(b), quiet())
	require.NoError(b, err)
	defer d.Close()
	for b.Loop() {
		if err := d.Stores().Stable.Set([]byte("vote"), make([]byte, 20)); err != nil {
			b.Fatal(err)
		}
	}
}

func benchConfig(b *testing.B) Config {
	b.Helper()
	cfg := DefaultConfig()
	cfg.Directory, cfg.Identity, cfg.MinFree = b.TempDir(), testIdentity, 0
	return cfg
}

//go:build unix

package disk

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
	"github.com/stretchr/testify/require"
)

func requireEntries(t *testing.T, d *Directory, entries map[uint64]uint64) {
	t.Helper()
	for index, term := range entries {
		var e raft.Log
		require.NoError(t, d.Stores().Log.GetLog(index, &e), "entry %d", index)
		require.Equal(t, term, e.Term, "entry %d", index)
	}
}

// A leader that died comes back with entries that nobody else has: they are
// deleted, and the log is read after the next crash. Found by a test with killed
// leaders: raft-wal could not read the segment any more.
func TestLogWhoseEndWasDeletedSurvivesAReopening(t *testing.T) {
	cfg := testConfig(t)
	d := mustOpen(t, cfg)
	want := map[uint64]uint64{}
	for index := uint64(1); index <= 10; index++ {
		require.NoError(t, d.Stores().Log.StoreLog(entry(index)))
	}
	require.NoError(t, d.Stores().Log.DeleteRange(7, 10))
	for index := uint64(7); index <= 12; index++ {
		e := entry(index)
		e.Term = 2
		require.NoError(t, d.Stores().Log.StoreLog(e))
	}
	for index := uint64(1); index <= 12; index++ {
		want[index] = 1 + min(index/7, 1)
	}
	for range 3 {
		requireEntries(t, d, want)
		require.NoError(t, d.Close())
		d = mustOpen(t, cfg)
		last, err := d.Stores().Log.LastIndex()
		require.NoError(t, err)
		require.EqualValues(t, 12, last)
	}
	requireEntries(t, d, want)
	require.NoError(t, d.Close())
}

// A crash comes right after the append that fills a segment, before the log's
// list of segments says so: the log is opened again and goes on.
func TestCrashBetweenTheEndOfASegmentAndItsRecord(t *testing.T) {
	for name, tear := range map[string]func(t *testing.T, file string, size int64){
		"everything was written": func(*testing.T, string, int64) {},
		"the last append is torn": func(t *testing.T, file string, size int64) {
			t.Helper()
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			require.NoError(t, err)
			defer f.Close()
			// Within the last batch, which has the last entry and the index.
			_, err = f.WriteAt([]byte{0xff, 0xff, 0xff}, size-3500)
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			d := mustOpen(t, cfg)
			logs := filepath.Join(cfg.Directory, logDir)
			var index uint64
			for segmentFiles(t, logs) < 2 {
				index++
				require.NoError(t, d.Stores().Log.StoreLog(entry(index)))
			}
			require.NoError(t, d.Close())
			filled, end := forgetTheSeal(t, logs)
			tear(t, filepath.Join(logs, filled), end)

			d = mustOpen(t, cfg)
			last, err := d.Stores().Log.LastIndex()
			require.NoError(t, err)
			require.Greater(t, last, uint64(10))
			want := map[uint64]uint64{}
			for i := uint64(1); i <= last; i++ {
				want[i] = 1
			}
			requireEntries(t, d, want)
			for range 40 { // over the next end of a segment, too
				last++
				require.NoError(t, d.Stores().Log.StoreLog(entry(last)), "and it goes on")
				want[last] = 1
			}
			require.NoError(t, d.Close())
			d = mustOpen(t, cfg)
			requireEntries(t, d, want)
			require.NoError(t, d.Close())
		})
	}
}

func segmentFiles(t *testing.T, logs string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(logs, "*.wal"))
	require.NoError(t, err)
	return len(files)
}

// forgetTheSeal puts the list of segments back to what it was before the first
// one was recorded as full. It returns that one's file and where its data ends.
func forgetTheSeal(t *testing.T, logs string) (file string, end int64) {
	t.Helper()
	var meta metadb.BoltMetaDB
	state, err := meta.Load(logs)
	require.NoError(t, err)
	first := &state.Segments[0]
	require.False(t, first.SealTime.IsZero())
	// The index is one number of four bytes for each entry.
	end = int64(first.IndexStart) + 4*int64(first.MaxIndex)
	first.SealTime, first.MaxIndex, first.IndexStart = time.Time{}, 0, 0
	state.Segments = []types.SegmentInfo{*first}
	state.NextSegmentID = first.ID + 1
	require.NoError(t, meta.CommitState(state))
	require.NoError(t, meta.Close())
	files, err := filepath.Glob(filepath.Join(logs, "*.wal"))
	require.NoError(t, err)
	for _, other := range files[1:] {
		require.NoError(t, os.Remove(other))
	}
	return filepath.Base(files[0]), end
}

//go:build unix

package disk

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

var testIdentity = Identity{Cluster: "c1", Node: "n1", Lineage: 3}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testConfig(t *testing.T) Config {
	t.Helper()
	return configAt(filepath.Join(t.TempDir(), "data"))
}

func configAt(directory string) Config {
	cfg := DefaultConfig()
	cfg.Directory, cfg.Identity = directory, testIdentity
	cfg.MinFree, cfg.SegmentSize = 0, minSegment
	return cfg
}

func mustOpen(t *testing.T, cfg Config) *Directory {
	t.Helper()
	d, err := Open(cfg, quiet())
	require.NoError(t, err)
	return d
}

// sortOf tells that a directory cannot be opened, and how.
func cannotOpen(t *testing.T, cfg Config, want error, words ...string) {
	t.Helper()
	_, err := Open(cfg, quiet())
	require.ErrorIs(t, err, want)
	for _, word := range words {
		require.ErrorContains(t, err, word)
	}
}

func TestDirectoryIsOpenedAgainByItsOwner(t *testing.T) {
	cfg := testConfig(t)
	for range 2 {
		d := mustOpen(t, cfg)
		require.Equal(t, testIdentity, d.Identity())
		require.NoError(t, d.Close())
	}
	cfg.Identity.Lineage = 0
	d := mustOpen(t, cfg)
	require.EqualValues(t, 3, d.Identity().Lineage, "lineage 0 takes the directory's")
	require.NoError(t, d.Close())
}

func TestNewDirectoryWithoutLineageIsTheFirst(t *testing.T) {
	cfg := testConfig(t)
	cfg.Identity.Lineage = 0
	d := mustOpen(t, cfg)
	require.EqualValues(t, 1, d.Identity().Lineage)
	require.NoError(t, d.Close())
}

func TestForeignDirectoryIsRefused(t *testing.T) {
	cfg := testConfig(t)
	require.NoError(t, mustOpen(t, cfg).Close())
	for name, change := range map[string]func(*Identity){
		"cluster": func(i *Identity) { i.Cluster = "other" },
		"node":    func(i *Identity) { i.Node = "other" },
		"lineage": func(i *Identity) { i.Lineage = 77 },
	} {
		t.Run(name, func(t *testing.T) {
			foreign := cfg
			change(&foreign.Identity)
			cannotOpen(t, foreign, ErrForeign, cfg.Directory, `cluster "c1", node "n1", lineage 3`, "check")
		})
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	cfg := testConfig(t)
	d := mustOpen(t, cfg)
	cannotOpen(t, cfg, ErrLocked, cfg.Directory)
	require.NoError(t, d.Close())
	require.NoError(t, mustOpen(t, cfg).Close())
}

func TestDamagedIdentityIsRefused(t *testing.T) {
	for name, content := range map[string]string{
		"empty":         "",
		"no JSON":       "node=n1",
		"unknown field": `{"format":1,"cluster":"c1","node":"n1","lineage":3,"color":"red"}`,
		"newer format":  `{"format":2,"cluster":"c1","node":"n1","lineage":3}`,
		"incomplete":    `{"format":1,"cluster":"c1","node":"n1"}`,
		"huge":          string(bytes.Repeat([]byte(" "), maxIdentity+1)),
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			require.NoError(t, mustOpen(t, cfg).Close())
			require.NoError(t, os.WriteFile(filepath.Join(cfg.Directory, identityFile), []byte(content), 0o600))
			cannotOpen(t, cfg, ErrDamaged, identityFile)
		})
	}
	t.Run("lost beside data", func(t *testing.T) {
		cfg := testConfig(t)
		require.NoError(t, mustOpen(t, cfg).Close())
		require.NoError(t, os.Remove(filepath.Join(cfg.Directory, identityFile)))
		cannotOpen(t, cfg, ErrDamaged, "identity.json is missing")
	})
}

func TestReadIdentity(t *testing.T) {
	cfg := testConfig(t)
	_, err := ReadIdentity(cfg.Directory)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, mustOpen(t, cfg).Close())
	identity, err := ReadIdentity(cfg.Directory)
	require.NoError(t, err)
	require.Equal(t, testIdentity, identity)
}

func TestTooLittleSpaceIsRefused(t *testing.T) {
	cfg := testConfig(t)
	cfg.MinFree = 1 << 62
	cannotOpen(t, cfg, ErrNoSpace, cfg.Directory, "make room")
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no directory":  func(c *Config) { c.Directory = "" },
		"no cluster":    func(c *Config) { c.Identity.Cluster = "" },
		"no node":       func(c *Config) { c.Identity.Node = "" },
		"tiny segment":  func(c *Config) { c.SegmentSize = 1 },
		"giant segment": func(c *Config) { c.SegmentSize = 2 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			change(&cfg)
			_, err := Open(cfg, quiet())
			require.ErrorContains(t, err, "disk: ")
		})
	}
	require.Error(t, DefaultConfig().Validate())
}

func TestLogAndVotesSurviveAReopening(t *testing.T) {
	cfg := testConfig(t)
	d := mustOpen(t, cfg)
	// More than one segment.
	for index := uint64(1); index <= 100; index++ {
		e := &raft.Log{Index: index, Term: 1, Data: bytes.Repeat([]byte{byte(index)}, 2000)}
		require.NoError(t, d.Stores().Log.StoreLog(e))
	}
	require.NoError(t, d.Stores().Stable.Set([]byte("vote"), []byte("n2 in 7")))
	require.NoError(t, d.Close())
	d = mustOpen(t, cfg)
	defer d.Close()
	for index := uint64(1); index <= 100; index++ {
		var e raft.Log
		require.NoError(t, d.Stores().Log.GetLog(index, &e))
		require.Equal(t, bytes.Repeat([]byte{byte(index)}, 2000), e.Data)
	}
	vote, err := d.Stores().Stable.Get([]byte("vote"))
	require.NoError(t, err)
	require.Equal(t, "n2 in 7", string(vote))
	free, err := d.Free()
	require.NoError(t, err)
	require.NotZero(t, free)
}

func snapshotOf(t *testing.T, d *Directory, index uint64, content string) string {
	t.Helper()
	sink := beginSnapshot(t, d, index)
	_, err := io.WriteString(sink, content)
	require.NoError(t, err)
	require.NoError(t, sink.Close())
	return sink.ID()
}

func beginSnapshot(t *testing.T, d *Directory, index uint64) raft.SnapshotSink {
	t.Helper()
	members := raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "a:1"}}}
	sink, err := d.Stores().Snapshots.Create(1, index, 2, members, 1, nil)
	require.NoError(t, err)
	return sink
}

func TestSnapshotSurvivesAReopening(t *testing.T) {
	cfg := testConfig(t)
	d := mustOpen(t, cfg)
	id := snapshotOf(t, d, 10, "the state")
	require.NoError(t, d.Close())
	d = mustOpen(t, cfg)
	defer d.Close()
	meta, source, err := d.Stores().Snapshots.Open(id)
	require.NoError(t, err)
	defer source.Close()
	content, err := io.ReadAll(source)
	require.NoError(t, err)
	require.Equal(t, "the state", string(content))
	require.EqualValues(t, len(content), meta.Size)
	require.EqualValues(t, 10, meta.Index)
	require.EqualValues(t, 2, meta.Term)
	require.Equal(t, raft.ServerAddress("a:1"), meta.Configuration.Servers[0].Address)
}

func TestNewestSnapshotsStay(t *testing.T) {
	d := mustOpen(t, testConfig(t))
	defer d.Close()
	for index := uint64(1); index <= 5; index++ {
		snapshotOf(t, d, index*100, fmt.Sprint(index))
	}
	kept, err := d.Stores().Snapshots.List()
	require.NoError(t, err)
	require.Len(t, kept, keptSnapshots)
	require.EqualValues(t, 500, kept[0].Index)
	require.EqualValues(t, 400, kept[1].Index)
}

func TestUnfinishedSnapshotLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, sink raft.SnapshotSink){
		"cancelled": func(t *testing.T, sink raft.SnapshotSink) {
			t.Helper()
			require.NoError(t, sink.Cancel())
			require.NoError(t, sink.Close(), "does nothing any more")
		},
		"the process died": func(*testing.T, raft.SnapshotSink) {},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			d := mustOpen(t, cfg)
			sink := beginSnapshot(t, d, 10)
			_, err := io.WriteString(sink, "half of it")
			require.NoError(t, err)
			end(t, sink)
			require.NoError(t, d.Close())
			d = mustOpen(t, cfg)
			defer d.Close()
			kept, err := d.Stores().Snapshots.List()
			require.NoError(t, err)
			require.Empty(t, kept)
			files, err := os.ReadDir(filepath.Join(cfg.Directory, snapshotDir))
			require.NoError(t, err)
			require.Empty(t, files)
		})
	}
}

func TestDamagedSnapshotIsRefused(t *testing.T) {
	cfg := testConfig(t)
	d := mustOpen(t, cfg)
	id := snapshotOf(t, d, 10, "the state")
	path := d.snapshots.file(id)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())

	refused := func(t *testing.T, content []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, content, 0o600))
		cannotOpen(t, cfg, ErrDamaged, path)
	}
	t.Run("torn anywhere", func(t *testing.T) {
		for length := range whole {
			refused(t, whole[:length])
		}
	})
	t.Run("any flipped bit", func(t *testing.T) {
		for i := range whole {
			flipped := bytes.Clone(whole)
			flipped[i] ^= 4
			refused(t, flipped)
		}
	})
	t.Run("under another name", func(t *testing.T) {
		require.NoError(t, os.WriteFile(path, whole, 0o600))
		other := filepath.Join(filepath.Dir(path), "other"+snapshotSuffix)
		require.NoError(t, os.Rename(path, other))
		cannotOpen(t, cfg, ErrDamaged, other)
		require.NoError(t, os.Rename(other, path))
		require.NoError(t, mustOpen(t, cfg).Close())
	})
	t.Run("while it is in use", func(t *testing.T) {
		d := mustOpen(t, cfg)
		defer d.Close()
		flipped := bytes.Clone(whole)
		flipped[12] ^= 4
		require.NoError(t, os.WriteFile(path, flipped, 0o600))
		_, _, err := d.Stores().Snapshots.Open(id)
		require.ErrorIs(t, err, ErrDamaged)
	})
	t.Run("a name that leads elsewhere", func(t *testing.T) {
		require.NoError(t, os.WriteFile(path, whole, 0o600))
		d := mustOpen(t, cfg)
		defer d.Close()
		_, _, err := d.Stores().Snapshots.Open("../" + identityFile)
		require.Error(t, err)
	})
}

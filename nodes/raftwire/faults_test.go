package raftwire_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"lockstep/nodes/disk"
	"lockstep/nodes/raftwire"
	"lockstep/nodes/raftwire/memstore"
	"lockstep/transport"
)

// snapshotOften makes snapshots and short logs soon.
func snapshotOften(cfg *raftwire.Config) {
	cfg.SnapshotThreshold, cfg.SnapshotInterval, cfg.TrailingLogs = 20, time.Second, 5
}

func (c *cluster) proposeMany(text string, count int) uint64 {
	c.t.Helper()
	var last uint64
	for i := range count {
		last = c.propose(fmt.Sprintf("%s %d", text, i))
	}
	return last
}

func TestLaggingFollowerGetsASnapshot(t *testing.T) {
	inTunedCluster(t, 3, snapshotOften, func(t *testing.T, c *cluster) {
		lagging := c.follower()
		behind := c.propose("before")
		lagging.crash()
		c.proposeMany("meanwhile", 100)
		leader := c.leader()
		c.until("the log begins later", func() bool { return leader.raft.Stats().FirstIndex > behind+1 })
		lagging.start()
		c.agreed(c.propose("after"))
		require.Equal(t, 1, lagging.machine.restores)
		require.True(t, lagging.machine.has("meanwhile 99"))
		require.True(t, lagging.machine.has("before"), "a snapshot replaces, it does not add")
		stats := lagging.raft.Stats()
		require.EqualValues(t, 1, stats.Installs)
		require.Zero(t, stats.InstallsDrained)
		require.NotZero(t, stats.SnapshotIndex)

		// It starts from that snapshot, and goes on.
		lagging.crash()
		lagging.start()
		c.agreed(c.propose("once more"))
		require.True(t, lagging.machine.has("before"))
	})
}

func TestEverybodyRestartsFromSnapshots(t *testing.T) {
	inTunedCluster(t, 3, snapshotOften, func(t *testing.T, c *cluster) {
		c.proposeMany("value", 90)
		for _, n := range c.up() {
			c.until("a snapshot is there", func() bool { return n.raft.Stats().SnapshotIndex > 0 })
		}
		c.propose("last")
		for _, n := range c.up() {
			n.crash()
		}
		c.startAll()
		c.agreed(c.propose("again"))
		for _, n := range c.up() {
			require.Positive(t, n.machine.restores)
			require.True(t, n.machine.has("value 0"))
			require.True(t, n.machine.has("last"))
		}
	})
}

func TestSnapshotOnDemand(t *testing.T) {
	inCluster(t, 1, func(t *testing.T, c *cluster) {
		c.propose("x")
		r := c.leader().raft
		require.NoError(t, r.Snapshot(t.Context()))
		require.NotZero(t, r.Stats().SnapshotIndex)
	})
}

// TestU9_DelayedInstallationChangesNothing sends a follower the leader's snapshot
// when it has long gone past it, as a network that held it back would. With the
// plain wiring and this kind of log store the follower's machine moves back and
// its log, with entries that it has acknowledged, is deleted.
func TestU9_DelayedInstallationChangesNothing(t *testing.T) {
	inTunedCluster(t, 3, snapshotOften, func(t *testing.T, c *cluster) {
		c.proposeMany("old", 40)
		leader := c.leader()
		c.until("there is a snapshot", func() bool { return leader.raft.Stats().SnapshotIndex > 0 })
		meta, data := newestSnapshot(t, leader)
		last := c.proposeMany("acknowledged", 10)
		c.agreed(last)
		follower := c.follower()
		before := follower.raft.Stats()
		require.Greater(t, before.LastIndex, meta.Index)

		out := leader.install(follower.name, leader.raft.Term(), meta, data)
		_, err := out.Read()
		require.NoError(t, err, "it is answered")
		after := follower.raft.Stats()
		require.EqualValues(t, 1, after.Installs)
		require.EqualValues(t, 1, after.InstallsDrained)
		require.GreaterOrEqual(t, after.LastIndex, before.LastIndex)
		require.Equal(t, before.FirstIndex, after.FirstIndex)
		require.GreaterOrEqual(t, follower.machine.last(), last)
		require.Zero(t, follower.machine.restores)

		// The two followers alone must still have everything.
		leader.crash()
		for _, n := range c.up() {
			n.crash()
			n.start()
		}
		c.agreed(c.propose("after"))
		for _, n := range c.up() {
			for i := range 10 {
				require.True(t, n.machine.has(fmt.Sprintf("acknowledged %d", i)))
			}
		}
	})
}

func TestU9_InstallationThatBreaksOffChangesNothing(t *testing.T) {
	inTunedCluster(t, 3, snapshotOften, func(t *testing.T, c *cluster) {
		lagging := c.follower()
		lagging.crash()
		c.proposeMany("meanwhile", 40)
		leader := c.leader()
		c.until("there is a snapshot", func() bool { return leader.raft.Stats().SnapshotIndex > 0 })
		meta, data := newestSnapshot(t, leader)
		c.isolate(lagging)
		lagging.start()
		c.net.Heal(leader.name, lagging.name)
		require.NoError(t, leader.peers.Await(t.Context(), lagging.name))
		half := leader.install(lagging.name, leader.raft.Term(), meta, data[:len(data)/2])
		_, err := half.Read()
		require.Error(t, err)
		c.net.HealAll()
		c.agreed(c.propose("after"))
	})
}

// newestSnapshot reads a node's newest snapshot from its disk.
func newestSnapshot(t *testing.T, n *node) (*raft.SnapshotMeta, []byte) {
	t.Helper()
	stores, closeStores := n.disk()
	defer closeStores()
	kept, err := stores.Snapshots.List()
	require.NoError(t, err)
	meta, source, err := stores.Snapshots.Open(kept[0].ID)
	require.NoError(t, err)
	defer source.Close()
	data, err := io.ReadAll(source)
	require.NoError(t, err)
	return meta, data
}

// install sends a snapshot, by hand. Data that is too short is not ended.
func (n *node) install(to string, term uint64, meta *raft.SnapshotMeta, data []byte) interface{ Read() ([]byte, error) } {
	head := raftwire.EncodeInstall(nil, &raft.InstallSnapshotRequest{
		SnapshotVersion: meta.Version, Term: term, LastLogIndex: meta.Index, LastLogTerm: meta.Term, Size: meta.Size,
		Configuration: raft.EncodeConfiguration(meta.Configuration), ConfigurationIndex: meta.ConfigurationIndex,
	})
	frames := [][]byte{head, data}
	if int64(len(data)) == meta.Size {
		frames = append(frames, nil)
	}
	out := n.speak(to, transport.PurposeBulk, frames...)
	if int64(len(data)) < meta.Size {
		require.NoError(n.c.t, out.Stream.CloseWrite())
	}
	return out
}

// TestU4_ConflictWithASnapshotIsHealedByARestart lets a lonely leader write more
// than the others commit and put into a snapshot meanwhile. Raft installs that
// snapshot over the conflicting log but goes on believing in its end, so that it
// is sent the same snapshot again and again.
func TestU4_ConflictWithASnapshotIsHealedByARestart(t *testing.T) {
	inTunedCluster(t, 3, snapshotOften, func(t *testing.T, c *cluster) {
		c.propose("common")
		old := c.leader()
		c.isolate(old)
		var lost []*raftwire.Proposal
		for i := range 200 {
			lost = append(lost, old.raft.Propose(fmt.Appendf(nil, "lost %d", i)))
		}
		for _, p := range lost {
			_, _, err := p.Wait()
			require.ErrorIs(t, err, raftwire.ErrUnknownOutcome)
		}
		c.proposeMany("kept", 60)
		leader := c.leader()
		for _, n := range c.up() {
			c.until("the log begins later", func() bool { return n == old || n.raft.Stats().FirstIndex > 30 })
		}
		require.Less(t, leader.raft.Stats().LastIndex, old.raft.Stats().LastIndex)
		// A leader that knows nothing but its short log: one that has been there since
		// before would still send the lonely one what it wanted to send at first.
		for _, n := range c.up() {
			if n != old {
				n.crash()
				n.start()
			}
		}
		c.net.HealAll()
		select {
		case reason := <-old.halted:
			require.Contains(t, reason, "the restart will delete them")
			old.crash()
			old.start()
		case <-mono.After(time.Minute):
			require.FailNow(t, "neither healed nor halted", "%+v", old.raft.Stats())
		}
		c.agreed(c.propose("after"))
		require.True(t, old.machine.has("kept 0"))
		require.False(t, old.machine.has("lost 0"))
	})
}

// TestU4_ConflictBehindASnapshotIsResolved has a follower whose log begins right
// behind its snapshot, with entries that the next leader does not have: Raft
// cannot look the snapshot's last entry up in that log.
func TestU4_ConflictBehindASnapshotIsResolved(t *testing.T) {
	inTunedCluster(t, 3, snapshotOften, func(t *testing.T, c *cluster) {
		lagging := c.follower()
		lagging.crash()
		c.proposeMany("kept", 60)
		leader := c.leader()
		for _, n := range c.up() {
			c.until("there is a snapshot of nearly all", func() bool { return n.raft.Stats().FirstIndex > 100 })
		}
		meta, data := newestSnapshot(t, leader)

		// The follower gets the snapshot and then an entry of a leader that vanishes:
		// a node speaks for it that is in nobody's configuration.
		c.isolate(lagging)
		lagging.start()
		ghost := c.add("n4")
		ghost.start()
		delete(c.nodes, ghost.name)
		defer ghost.stop()
		require.NoError(t, ghost.peers.Await(t.Context(), lagging.name))
		term := leader.raft.Term()
		_, err := ghost.install(lagging.name, term, meta, data).Read()
		require.NoError(t, err)
		append1 := raftwire.EncodeAppend(nil, &raft.AppendEntriesRequest{
			Term: term, PrevLogEntry: meta.Index, PrevLogTerm: meta.Term,
			Entries: []*raft.Log{{Index: meta.Index + 1, Term: term, Data: []byte("never committed")}},
		})
		_, err = ghost.speak(lagging.name, transport.PurposeRaft, append1).Read()
		require.NoError(t, err)
		require.Equal(t, meta.Index+1, lagging.raft.Stats().LastIndex)
		leader.crash()
		leader.start()
		c.propose("of a later term")
		c.net.HealAll()
		c.agreed(c.propose("after"))
		require.True(t, lagging.machine.has("kept 59"))
		require.False(t, lagging.machine.has("never committed"))
		require.Empty(t, lagging.halted)
	})
}

// faultyStore is a disk that breaks on demand.
type faultyStore struct {
	*memstore.Store
	fail  atomic.Pointer[error]
	stall atomic.Pointer[chan struct{}]
}

func (s *faultyStore) StoreLog(e *raft.Log) error { return s.StoreLogs([]*raft.Log{e}) }

func (s *faultyStore) StoreLogs(entries []*raft.Log) error {
	if stall := s.stall.Load(); stall != nil {
		<-*stall
	}
	if err := s.fail.Load(); err != nil {
		return *err
	}
	return s.Store.StoreLogs(entries)
}

// breakable gives a node a disk that breaks on demand, from its next start on.
func (n *node) breakable() *faultyStore {
	s := &faultyStore{Store: memstore.New()}
	n.disk = func() (raftwire.Stores, func()) {
		return raftwire.Stores{Log: s, Stable: s, Snapshots: s}, func() {}
	}
	return s
}

// inBreakableCluster is inCluster with disks that break on demand.
func inBreakableCluster(t *testing.T, f func(t *testing.T, c *cluster, disks map[*node]*faultyStore)) {
	t.Helper()
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		disks := make(map[*node]*faultyStore)
		for _, n := range c.up() {
			n.stop()
			disks[n] = n.breakable()
		}
		c.startAll()
		f(t, c, disks)
	})
}

func TestU8_BrokenDiskHaltsAndLosesNothing(t *testing.T) {
	for name, broken := range map[string]error{"full": syscall.ENOSPC, "sync failed": syscall.EIO} {
		for role, pick := range map[string]func(c *cluster) *node{"leader": (*cluster).leader, "follower": (*cluster).follower} {
			t.Run(name+" at the "+role, func(t *testing.T) {
				inBreakableCluster(t, func(t *testing.T, c *cluster, disks map[*node]*faultyStore) {
					c.proposeMany("kept", 10)
					victim := pick(c)
					leader := c.leader()
					disks[victim].fail.Store(&broken)
					p := leader.raft.Propose([]byte("perhaps"))
					reason := <-victim.halted
					require.Contains(t, reason, broken.Error())
					require.Contains(t, reason, "outcome is unknown")
					victim.crash()
					if _, _, err := p.Wait(); role == "leader" {
						require.ErrorIs(t, err, raftwire.ErrUnknownOutcome)
					} else {
						require.NoError(t, err, "the other two are a majority")
					}
					disks[victim].fail.Store(nil)
					c.propose("meanwhile")
					victim.start()
					c.agreed(c.propose("after"))
					require.True(t, victim.machine.has("kept 9"))
					require.True(t, victim.machine.has("meanwhile"))
				})
			})
		}
	}
}

func TestU5_StalledDiskOfTheLeaderEndsItsReign(t *testing.T) {
	inBreakableCluster(t, func(t *testing.T, c *cluster, disks map[*node]*faultyStore) {
		c.propose("kept")
		victim := c.leader()
		stall := make(chan struct{})
		disks[victim].stall.Store(&stall)
		begun := mono.Now()
		p := victim.raft.Propose([]byte("perhaps"))
		require.Contains(t, <-victim.halted, "disk is stalled")
		require.Equal(t, raftwire.DefaultConfig().WriteDeadline, mono.Since(begun))
		// What the process's end would do: the write never returns.
		c.net.Crash(victim.name)
		disks[victim].stall.Store(nil)
		close(stall)
		victim.stop()
		_, _, err := p.Wait()
		require.ErrorIs(t, err, raftwire.ErrUnknownOutcome)
		c.propose("meanwhile")
		victim.start()
		c.agreed(c.propose("after"))
		require.True(t, victim.machine.has("kept"))
	})
}

func TestU9_StreamsThatAreGivenUpAreReset(t *testing.T) {
	inBreakableCluster(t, func(t *testing.T, c *cluster, disks map[*node]*faultyStore) {
		follower, leader := c.follower(), c.leader()
		usual := follower.peers.Stats().Streams
		stall := make(chan struct{})
		disks[follower].stall.Store(&stall)
		c.propose("x")
		// Heartbeats are given up after CallTimeout, again and again.
		pass(8 * time.Second)
		require.True(t, leader.raft.Leading())
		disks[follower].stall.Store(nil)
		close(stall)
		c.agreed(c.propose("y"))
		pass(time.Second)
		require.LessOrEqual(t, follower.peers.Stats().Streams, usual+2)
	})
}

func TestU5_ShortStallIsSurvived(t *testing.T) {
	inBreakableCluster(t, func(t *testing.T, c *cluster, disks map[*node]*faultyStore) {
		follower := c.follower()
		stall := make(chan struct{})
		disks[follower].stall.Store(&stall)
		c.propose("x")
		pass(5 * time.Second)
		disks[follower].stall.Store(nil)
		close(stall)
		c.agreed(c.propose("y"))
		require.Empty(t, follower.halted)
	})
}

func TestU8_RottenEntryHaltsWhenItIsRead(t *testing.T) {
	inBreakableCluster(t, func(t *testing.T, c *cluster, disks map[*node]*faultyStore) {
		behind := c.follower()
		rotten := c.propose("rotten")
		c.agreed(rotten)
		behind.crash()
		c.proposeMany("more than memory keeps", raftwire.CacheEntries+10)
		leader := c.leader()
		for _, n := range c.up() {
			require.True(t, disks[n].Corrupt(rotten+1, func(e *raft.Log) { e.Data[0] ^= 0x40 }))
		}
		behind.start()
		require.Contains(t, <-leader.halted, fmt.Sprintf("entry %d is damaged", rotten+1))
	})
}

func TestGarbageClosesTheStreamAndNothingElse(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		follower, leader := c.follower(), c.leader()
		for i, c := range []struct {
			purpose transport.Purpose
			frame   []byte
		}{
			{transport.PurposeRaft, []byte{0xff, 1, 2, 3}},
			{transport.PurposeRaft, nil},
			{transport.PurposeRaft, raftwire.EncodeVote(nil, &raft.RequestVoteRequest{})[:2]},
			{transport.PurposeBulk, []byte("no head")},
			{transport.PurposeBulk, nil},
		} {
			out := follower.speak(leader.name, c.purpose, c.frame)
			_, err := out.Read()
			require.ErrorIs(t, err, transport.ErrReset)
			require.EqualValues(t, i+1, leader.raft.Stats().Garbage)
		}
		snapshot := &raft.InstallSnapshotRequest{
			SnapshotVersion: 1, Term: leader.raft.Term() + 1, LastLogIndex: 1 << 40, LastLogTerm: 1, Size: 3,
			Configuration: raft.EncodeConfiguration(raft.Configuration{}), ConfigurationIndex: 1,
		}
		// A snapshot that is longer, then one that is shorter than it said.
		for _, data := range []string{"four", "2"} {
			out := follower.speak(leader.name, transport.PurposeBulk, raftwire.EncodeInstall(nil, snapshot), []byte(data), nil)
			out.Read()
		}
		c.agreed(c.propose("after"))
		for _, n := range c.up() {
			require.Empty(t, n.halted)
		}
	})
}

// onDisk gives all nodes real directories.
func (c *cluster) onDisk() {
	for _, n := range c.nodes {
		directory := c.t.TempDir()
		n.disk = func() (raftwire.Stores, func()) {
			cfg := disk.DefaultConfig()
			cfg.Directory, cfg.SegmentSize, cfg.MinFree = directory, 64<<10, 0
			cfg.Identity = disk.Identity{Cluster: "c1", Node: n.name}
			d, err := disk.Open(cfg, logger())
			require.NoError(c.t, err)
			return d.Stores(), func() { require.NoError(c.t, d.Close()) }
		}
	}
}

func TestRestartFromDisk(t *testing.T) {
	inTunedCluster(t, 3, snapshotOften, func(t *testing.T, c *cluster) {
		c.stopAll()
		c.onDisk()
		c.startAll()
		big := strings.Repeat("x", 3000)
		for round := range 3 {
			victim := c.leader()
			if round == 1 {
				victim = c.follower()
			}
			victim.crash()
			last := c.proposeMany(fmt.Sprintf("%s round %d", big, round), 60)
			pass(5 * time.Second)
			victim.start()
			c.agreed(last)
		}
		for _, n := range c.up() {
			n.crash()
		}
		c.startAll()
		c.agreed(c.propose("again"))
		for _, n := range c.up() {
			for round := range 3 {
				require.True(t, n.machine.has(fmt.Sprintf("%s round %d 59", big, round)))
			}
			require.Positive(t, n.raft.Stats().SnapshotIndex)
		}
	})
}

func TestLostSnapshotKeepsTheNodeOut(t *testing.T) {
	inTunedCluster(t, 1, snapshotOften, func(t *testing.T, c *cluster) {
		c.proposeMany("x", 60)
		n := c.leader()
		c.until("the log begins later", func() bool { return n.raft.Stats().FirstIndex > 1 })
		n.stop()
		stores, _ := n.disk()
		stores.Snapshots = memstore.New()
		_, err := raftwire.Open(n.config(), raftwire.Deps{
			Peers: n.peers, Stores: stores, Machine: new(machine), Clocks: clocksOf(), Logger: logger(), Halt: func(string) {},
		})
		require.ErrorIs(t, err, raftwire.ErrGap)
		require.ErrorContains(t, err, "new id and an empty directory")
	})
}

func TestOpenRefuses(t *testing.T) {
	_, err := raftwire.Open(raftwire.DefaultConfig(), raftwire.Deps{})
	require.ErrorContains(t, err, "Node is empty")
	cfg := raftwire.DefaultConfig()
	cfg.Node, cfg.Address = "n1", "n1:1"
	_, err = raftwire.Open(cfg, raftwire.Deps{})
	require.ErrorContains(t, err, "dependency is missing")
	for name, change := range map[string]func(*raftwire.Config){
		"heartbeat":       func(c *raftwire.Config) { c.HeartbeatTimeout = 0 },
		"election":        func(c *raftwire.Config) { c.ElectionTimeout = c.HeartbeatTimeout - 1 },
		"lease":           func(c *raftwire.Config) { c.LeaderLease = c.HeartbeatTimeout + 1 },
		"no lease":        func(c *raftwire.Config) { c.LeaderLease = 0 },
		"commit":          func(c *raftwire.Config) { c.CommitTimeout = 0 },
		"entries":         func(c *raftwire.Config) { c.MaxAppendEntries = 0 },
		"entry":           func(c *raftwire.Config) { c.MaxEntry = 0 },
		"frame":           func(c *raftwire.Config) { c.MaxEntry = transport.MaxFrame },
		"threshold":       func(c *raftwire.Config) { c.SnapshotThreshold = 0 },
		"interval":        func(c *raftwire.Config) { c.SnapshotInterval = 0 },
		"trailing":        func(c *raftwire.Config) { c.TrailingLogs = 0 },
		"call timeout":    func(c *raftwire.Config) { c.CallTimeout = 0 },
		"append timeout":  func(c *raftwire.Config) { c.AppendTimeout = 0 },
		"chunk timeout":   func(c *raftwire.Config) { c.ChunkTimeout = 0 },
		"restore timeout": func(c *raftwire.Config) { c.RestoreTimeout = 0 },
		"write deadline":  func(c *raftwire.Config) { c.WriteDeadline = 0 },
		"transfer bound":  func(c *raftwire.Config) { c.TransferBound = time.Second },
		"installs":        func(c *raftwire.Config) { c.MaxInstalls = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			require.NoError(t, cfg.Validate())
			change(&cfg)
			require.Error(t, cfg.Validate())
		})
	}
	require.False(t, errors.Is(err, raftwire.ErrGap))
}

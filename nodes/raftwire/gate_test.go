package raftwire

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"lockstep/nodes/raftwire/memstore"
)

// gateOf returns a gate before a log and a snapshot.
func gateOf(t *testing.T, h *halts, first uint64, terms []uint64, newest position) *gate {
	t.Helper()
	g := testGuard(h)
	disk := memstore.New()
	stable, err := openStable(disk, g)
	require.NoError(t, err)
	require.NoError(t, stable.SetUint64([]byte(keyCurrentTerm), 5))
	snapshots, err := openSnapshots(disk, g)
	require.NoError(t, err)
	if newest.index > 0 {
		sink, err := snapshots.Create(1, newest.index, newest.term, raft.Configuration{}, 1, nil)
		require.NoError(t, err)
		require.NoError(t, sink.Close())
	}
	return &gate{
		consumer: make(chan raft.RPC), log: logOf(t, h, disk, first, terms...),
		snapshots: snapshots, stable: stable, guard: g,
		clock: g.clock, patience: patience{call: time.Minute, appends: time.Hour, install: time.Hour}, repeats: repeats{bound: 3},
	}
}

// answerAll is a Raft that agrees with everything; it reports what it was given.
func answerAll(t *testing.T, g *gate) <-chan any {
	t.Helper()
	seen := make(chan any, 16)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case rpc := <-g.consumer:
				seen <- rpc.Command
				switch rpc.Command.(type) {
				case *raft.InstallSnapshotRequest:
					io.Copy(io.Discard, rpc.Reader)
					rpc.Respond(&raft.InstallSnapshotResponse{Term: 5, Success: true}, nil)
				default:
					rpc.Respond(&raft.AppendEntriesResponse{Term: 5, Success: true}, nil)
				}
			case <-stop:
				return
			}
		}
	}()
	return seen
}

func TestU9_InstallationIsDroppedWhenTheNodeHasItAll(t *testing.T) {
	for name, c := range map[string]struct {
		first   uint64
		terms   []uint64
		newest  position
		request *raft.InstallSnapshotRequest
		dropped bool
	}{
		"empty node":                       {request: installRequest(5, 8, 2, 4)},
		"log ends before":                  {first: 1, terms: []uint64{1, 1}, request: installRequest(5, 8, 2, 4)},
		"log holds its last entry":         {first: 6, terms: []uint64{2, 2, 2, 3, 3}, request: installRequest(5, 8, 2, 4), dropped: true},
		"log holds another entry there":    {first: 6, terms: []uint64{1, 1, 1, 1}, request: installRequest(5, 8, 2, 4)},
		"a newer snapshot":                 {newest: position{9, 3}, request: installRequest(5, 8, 2, 4), dropped: true},
		"the same snapshot":                {newest: position{8, 2}, request: installRequest(5, 8, 2, 4), dropped: true},
		"an older snapshot":                {newest: position{7, 2}, request: installRequest(5, 8, 2, 4)},
		"a leader of the past is for Raft": {newest: position{9, 3}, request: installRequest(4, 8, 2, 4)},
		"a leader of the future, needless": {newest: position{9, 3}, request: installRequest(6, 8, 2, 4), dropped: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHalts()
			g := gateOf(t, h, c.first, c.terms, c.newest)
			seen := answerAll(t, g)
			data := strings.NewReader("data")
			answer, dropped, err := g.install(t.Context(), c.request, data)
			require.NoError(t, err)
			require.Equal(t, c.dropped, dropped)
			require.Zero(t, data.Len(), "the data is read in any case")
			require.True(t, answer.Response.(*raft.InstallSnapshotResponse).Success)
			if c.dropped {
				require.Empty(t, seen)
			} else {
				require.Equal(t, c.request, <-seen)
			}
		})
	}
}

func TestU9_NothingElsePassesDuringAnInstallation(t *testing.T) {
	g := gateOf(t, newHalts(), 0, nil, position{})
	heartbeat := &raft.AppendEntriesRequest{Term: 5}
	// An ordinary request is with Raft: the installation must wait for its answer.
	ordinary := make(chan error, 2)
	go func() {
		_, err := g.pass(t.Context(), heartbeat, make(chan raft.RPCResponse, 1))
		ordinary <- err
	}()
	first := <-g.consumer
	require.Equal(t, any(heartbeat), first.Command)
	installed := make(chan error, 1)
	go func() {
		_, _, err := g.install(t.Context(), installRequest(5, 8, 2, 0), strings.NewReader(""))
		installed <- err
	}()
	require.Eventually(t, func() bool { return !g.passing.TryRLock() || unlockRead(g) }, waitLong, waitStep)
	select {
	case rpc := <-g.consumer:
		t.Fatalf("%T was handed to Raft before the answer to what came before it", rpc.Command)
	default:
	}
	first.Respond(&raft.AppendEntriesResponse{}, nil)
	require.NoError(t, <-ordinary)
	// Now the installation is with Raft: nothing else may be.
	second := <-g.consumer
	require.IsType(t, &raft.InstallSnapshotRequest{}, second.Command)
	require.False(t, g.passing.TryRLock())
	go func() {
		_, err := g.pass(t.Context(), heartbeat, make(chan raft.RPCResponse, 1))
		ordinary <- err
	}()
	second.Respond(&raft.InstallSnapshotResponse{Success: true}, nil)
	require.NoError(t, <-installed)
	third := <-g.consumer
	require.Equal(t, any(heartbeat), third.Command)
	third.Respond(&raft.AppendEntriesResponse{}, nil)
	require.NoError(t, <-ordinary)
}

// unlockRead takes back a TryRLock that succeeded.
func unlockRead(g *gate) bool {
	g.passing.RUnlock()
	return false
}

func TestU9_DataThatBreaksOffIsNoSuccess(t *testing.T) {
	g := gateOf(t, newHalts(), 0, nil, position{9, 3})
	_, dropped, err := g.install(t.Context(), installRequest(5, 8, 2, 4), io.MultiReader(strings.NewReader("da"), broken{}))
	require.True(t, dropped)
	require.ErrorIs(t, err, errDisk)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errDisk }

func TestU9_ARequestWhoseStreamIsGoneIsDropped(t *testing.T) {
	g := gateOf(t, newHalts(), 0, nil, position{})
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("stream reset")
	cancel(gone)
	_, err := g.pass(ctx, &raft.AppendEntriesRequest{Term: 5}, make(chan raft.RPCResponse, 1))
	require.ErrorIs(t, err, gone)
}

func TestU4_EntriesThatASnapshotCoversAreTakenOff(t *testing.T) {
	newest := position{8, 2}
	for name, c := range map[string]struct {
		first      uint64
		terms      []uint64
		prev       position
		entries    []*raft.Log
		wantPrev   position
		wantFirst  uint64
		wantNumber int
	}{
		"previous entry is the snapshot's last":  {prev: newest, entries: entries(9, 3, 3), wantFirst: 9, wantNumber: 2},
		"the same, log goes on after it":         {first: 9, terms: []uint64{4}, prev: newest, entries: entries(9, 3, 3), wantFirst: 9, wantNumber: 2},
		"Raft can look it up":                    {first: 7, terms: []uint64{2, 2}, prev: newest, entries: entries(9, 3), wantPrev: newest, wantFirst: 9, wantNumber: 1},
		"behind the snapshot":                    {prev: position{9, 3}, entries: entries(10, 3), wantPrev: position{9, 3}, wantFirst: 10, wantNumber: 1},
		"partly covered":                         {prev: position{6, 2}, entries: entries(7, 2, 2, 3), wantFirst: 9, wantNumber: 1},
		"from the beginning":                     {prev: position{}, entries: entries(1, 1, 1, 1, 1, 1, 1, 1, 2, 3), wantFirst: 9, wantNumber: 1},
		"all covered":                            {prev: position{4, 1}, entries: entries(5, 1, 1), wantNumber: 0},
		"no entries, covered":                    {prev: position{4, 1}, wantNumber: 0},
		"another entry at the snapshot's end":    {prev: position{6, 2}, entries: entries(7, 1, 1, 1), wantPrev: position{6, 2}, wantFirst: 7, wantNumber: 3},
		"another previous at the snapshot's end": {prev: position{8, 1}, entries: entries(9, 3), wantPrev: position{8, 1}, wantFirst: 9, wantNumber: 1},
		"heartbeat":                              {wantNumber: 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := gateOf(t, newHalts(), c.first, c.terms, newest)
			seen := answerAll(t, g)
			request := &raft.AppendEntriesRequest{Term: 5, PrevLogEntry: c.prev.index, PrevLogTerm: c.prev.term, Entries: c.entries}
			_, err := g.pass(t.Context(), request, make(chan raft.RPCResponse, 1))
			require.NoError(t, err)
			got := (<-seen).(*raft.AppendEntriesRequest)
			require.Equal(t, c.wantPrev, position{got.PrevLogEntry, got.PrevLogTerm})
			require.Len(t, got.Entries, c.wantNumber)
			if c.wantNumber > 0 {
				require.Equal(t, c.wantFirst, got.Entries[0].Index)
			}
		})
	}
}

func TestU4_RepeatedInstallationsHalt(t *testing.T) {
	install := func(g *gate, index uint64) {
		_, _, err := g.install(context.Background(), installRequest(5, index, 2, 0), strings.NewReader(""))
		if err != nil {
			panic(err)
		}
	}
	t.Run("the same one without progress", func(t *testing.T) {
		h := newHalts()
		g := gateOf(t, h, 0, nil, position{})
		answerAll(t, g)
		mustNotHalt(t, h, func() { install(g, 8); install(g, 8) })
		mustHalt(t, h, "the snapshot at 8 has arrived 3 times", func() { install(g, 8) })
	})
	t.Run("different ones", func(t *testing.T) {
		h := newHalts()
		g := gateOf(t, h, 0, nil, position{})
		answerAll(t, g)
		mustNotHalt(t, h, func() {
			for range 5 {
				install(g, 8)
				install(g, 9)
			}
		})
	})
	t.Run("with entries accepted in between", func(t *testing.T) {
		h := newHalts()
		g := gateOf(t, h, 0, nil, position{})
		answerAll(t, g)
		mustNotHalt(t, h, func() {
			for range 5 {
				install(g, 8)
				g.pass(context.Background(), &raft.AppendEntriesRequest{Term: 5, PrevLogEntry: 8, PrevLogTerm: 2}, make(chan raft.RPCResponse, 1))
			}
		})
	})
	t.Run("heartbeats are no progress", func(t *testing.T) {
		h := newHalts()
		g := gateOf(t, h, 0, nil, position{})
		answerAll(t, g)
		mustHalt(t, h, "the snapshot at 8", func() {
			for range 3 {
				install(g, 8)
				g.pass(context.Background(), &raft.AppendEntriesRequest{Term: 5}, make(chan raft.RPCResponse, 1))
			}
		})
	})
}

func TestU1_HeartbeatsTakeTheWayOfAllRequests(t *testing.T) {
	g := gateOf(t, newHalts(), 0, nil, position{})
	transport := &Transport{gate: g}
	transport.SetHeartbeatHandler(func(raft.RPC) { t.Error("the fast path was used") })
	heartbeat := &raft.AppendEntriesRequest{RPCHeader: header(testNode), Term: 5}
	require.True(t, isHeartbeat(heartbeat))
	require.False(t, isHeartbeat(&raft.AppendEntriesRequest{Term: 5, PrevLogEntry: 1}))
	require.False(t, isHeartbeat(&raft.AppendEntriesRequest{Term: 5, Entries: entries(1, 1)}))
	got, err := decodeRequest(encodeAppend(nil, heartbeat), testNode)
	require.NoError(t, err)
	go g.pass(t.Context(), got, make(chan raft.RPCResponse, 1))
	rpc := <-transport.Consumer()
	require.Equal(t, heartbeat, rpc.Command)
	rpc.Respond(&raft.AppendEntriesResponse{}, nil)
}

func TestU9_ARequestThatWaitedTooLongIsDropped(t *testing.T) {
	heartbeat := &raft.AppendEntriesRequest{Term: 5}
	g, clock := gateOf(t, newHalts(), 0, nil, position{}), clockwork.NewFakeClock()
	g.clock = clock
	t.Run("for Raft", func(t *testing.T) {
		passed := make(chan error, 1)
		go func() {
			_, err := g.pass(t.Context(), heartbeat, make(chan raft.RPCResponse, 1))
			passed <- err
		}()
		require.NoError(t, clock.BlockUntilContext(t.Context(), 1))
		clock.Advance(g.patience.call)
		require.ErrorIs(t, <-passed, errLate)
	})
	t.Run("for an installation", func(t *testing.T) {
		_, err := g.hand(t.Context(), clock.Now(), raft.RPC{Command: heartbeat}, nil)
		require.ErrorIs(t, err, errLate)
	})
	require.Equal(t, g.patience.appends, g.patience.of(&raft.AppendEntriesRequest{Entries: entries(1, 1)}))
	require.Equal(t, g.patience.call, g.patience.of(&raft.RequestVoteRequest{}))
}

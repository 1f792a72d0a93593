package raftwire

import (
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var testNode = []byte("n1")

func drawEntries(t *rapid.T, prev uint64) []*raft.Log {
	kinds := []raft.LogType{raft.LogCommand, raft.LogNoop, raft.LogBarrier}
	var entries []*raft.Log
	for i := range rapid.IntRange(0, 40).Draw(t, "entries") {
		entries = append(entries, &raft.Log{
			Index: prev + uint64(i) + 1, Term: rapid.Uint64().Draw(t, "term"),
			Type: rapid.SampledFrom(kinds).Draw(t, "type"),
			Data: emptyIsNil(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")),
		})
	}
	return entries
}

func emptyIsNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func TestProp_AppendSurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prev := rapid.Uint64Range(0, 1<<62).Draw(t, "prev")
		sent := &raft.AppendEntriesRequest{
			RPCHeader: header(testNode), Term: rapid.Uint64().Draw(t, "term"),
			PrevLogEntry: prev, PrevLogTerm: rapid.Uint64().Draw(t, "prevTerm"),
			LeaderCommitIndex: rapid.Uint64Range(0, prev).Draw(t, "commit"),
			Entries:           drawEntries(t, prev),
		}
		got, err := decodeRequest(encodeAppend(nil, sent), testNode)
		require.NoError(t, err)
		require.Equal(t, sent, got)
	})
}

func TestProp_OtherRequestsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Uint64()
		vote := &raft.RequestVoteRequest{
			RPCHeader: header(testNode), Term: number.Draw(t, "term"), LastLogIndex: number.Draw(t, "index"),
			LastLogTerm: number.Draw(t, "last"), LeadershipTransfer: rapid.Bool().Draw(t, "transfer"),
		}
		got, err := decodeRequest(encodeVote(nil, vote), testNode)
		require.NoError(t, err)
		require.Equal(t, vote, got)

		pre := &raft.RequestPreVoteRequest{
			RPCHeader: header(testNode), Term: vote.Term, LastLogIndex: vote.LastLogIndex, LastLogTerm: vote.LastLogTerm,
		}
		got, err = decodeRequest(encodePreVote(nil, pre), testNode)
		require.NoError(t, err)
		require.Equal(t, pre, got)

		now := &raft.TimeoutNowRequest{RPCHeader: header(testNode)}
		got, err = decodeRequest(encodeTimeoutNow(nil, now), testNode)
		require.NoError(t, err)
		require.Equal(t, now, got)
	})
}

func TestInstallSurvivesTheWire(t *testing.T) {
	sent := installRequest(7, 100, 6, 1234)
	frame := encodeInstall(nil, sent)
	got, err := decodeInstall(frame[1:], testNode)
	require.NoError(t, err)
	require.Equal(t, sent, got)
}

func installRequest(term, index, lastTerm uint64, size int64) *raft.InstallSnapshotRequest {
	members := raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "a"}, {ID: "n2", Address: "b"}}}
	return &raft.InstallSnapshotRequest{
		RPCHeader: header(testNode), SnapshotVersion: raft.SnapshotVersionMax, Term: term,
		LastLogIndex: index, LastLogTerm: lastTerm, Size: size,
		Configuration: raft.EncodeConfiguration(members), ConfigurationIndex: 1,
	}
}

func TestProp_RepliesSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		term, yes, other := rapid.Uint64().Draw(t, "term"), rapid.Bool().Draw(t, "yes"), rapid.Bool().Draw(t, "other")
		appended := &raft.AppendEntriesResponse{Term: term, LastLog: rapid.Uint64().Draw(t, "last"), Success: yes, NoRetryBackoff: other}
		var gotAppended raft.AppendEntriesResponse
		require.NoError(t, decodeAppendReply(encodeReply(nil, raft.RPCResponse{Response: appended}), &gotAppended))
		require.Equal(t, *appended, gotAppended)

		vote := &raft.RequestVoteResponse{Term: term, Granted: yes}
		var gotVote raft.RequestVoteResponse
		require.NoError(t, decodeVoteReply(encodeReply(nil, raft.RPCResponse{Response: vote}), &gotVote))
		require.Equal(t, *vote, gotVote)

		pre := &raft.RequestPreVoteResponse{Term: term, Granted: yes}
		var gotPre raft.RequestPreVoteResponse
		require.NoError(t, decodePreVoteReply(encodeReply(nil, raft.RPCResponse{Response: pre}), &gotPre))
		require.Equal(t, *pre, gotPre)

		installed := &raft.InstallSnapshotResponse{Term: term, Success: yes}
		var gotInstalled raft.InstallSnapshotResponse
		require.NoError(t, decodeInstallReply(encodeReply(nil, raft.RPCResponse{Response: installed}), &gotInstalled))
		require.Equal(t, *installed, gotInstalled)

		var gotNow raft.TimeoutNowResponse
		require.NoError(t, decodeTimeoutNowReply(encodeReply(nil, raft.RPCResponse{Response: &raft.TimeoutNowResponse{}}), &gotNow))
	})
}

func TestFailureBecomesARemoteError(t *testing.T) {
	frame := encodeReply(nil, raft.RPCResponse{Error: errDisk})
	var response raft.RequestVoteResponse
	err := decodeVoteReply(frame, &response)
	var remote *remoteError
	require.ErrorAs(t, err, &remote)
	require.Equal(t, errDisk.Error(), remote.text)
}

func TestGarbageIsRefused(t *testing.T) {
	entry := func(kind byte, data string) []byte {
		frame := appendUints([]byte{byte(msgAppend)}, 1, 0, 0, 0, 1)
		frame = append(appendUints(frame, 1), kind)
		return appendBytes(appendBytes(frame, []byte(data)), nil)
	}
	for name, frame := range map[string][]byte{
		"empty":                    {},
		"unknown message":          {99},
		"a reply":                  {byte(msgVoteReply), 1, 1},
		"cut off":                  {byte(msgVote), 1},
		"too long":                 append(encodeTimeoutNow(nil, nil), 0),
		"unknown flags":            {byte(msgVote), 1, 1, 1, 0x80},
		"more entries than bytes":  appendUints([]byte{byte(msgAppend)}, 1, 1, 1, 1, 1000),
		"absurdly many entries":    appendUints([]byte{byte(msgAppend)}, 1, 1, 1, 1, 1<<60),
		"indices overflow":         appendUints([]byte{byte(msgAppend)}, 1, ^uint64(0), 1, 1, 2),
		"unknown entry type":       entry(77, "x"),
		"deprecated entry type":    entry(byte(raft.LogAddPeerDeprecated), "x"),
		"configuration of garbage": entry(byte(raft.LogConfiguration), "\xc1 not msgpack"),
		"overlong integer":         append([]byte{byte(msgPreVote)}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeRequest(frame, testNode)
			require.ErrorIs(t, err, errGarbage)
		})
	}
}

func TestU7_CommitIndexIsClampedToWhatTheRequestProves(t *testing.T) {
	request := &raft.AppendEntriesRequest{
		RPCHeader: header(testNode), Term: 3, PrevLogEntry: 10, PrevLogTerm: 2, LeaderCommitIndex: 500,
		Entries: []*raft.Log{{Index: 11, Term: 3}, {Index: 12, Term: 3}},
	}
	t.Run("by the sender", func(t *testing.T) {
		c := cursor{rest: encodeAppend(nil, request)[1:]}
		c.uint()
		c.uint()
		c.uint()
		require.EqualValues(t, 12, c.uint())
		require.EqualValues(t, 500, request.LeaderCommitIndex, "Raft's own request is left alone")
	})
	t.Run("by the receiver", func(t *testing.T) {
		frame := appendUints([]byte{byte(msgAppend)}, 3, 10, 2, 500, 0)
		got, err := decodeRequest(frame, testNode)
		require.NoError(t, err)
		require.EqualValues(t, 10, got.(*raft.AppendEntriesRequest).LeaderCommitIndex)
	})
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add(encodeAppend(nil, &raft.AppendEntriesRequest{Term: 1, Entries: []*raft.Log{{Index: 1, Term: 1, Data: []byte("x")}}}))
	f.Add(encodeVote(nil, &raft.RequestVoteRequest{Term: 1}))
	f.Add(encodeInstall(nil, installRequest(1, 2, 1, 3)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		request, err := decodeRequest(frame, testNode)
		if len(frame) > 0 {
			decodeInstall(frame[1:], testNode)
		}
		if err != nil {
			return
		}
		if a, ok := request.(*raft.AppendEntriesRequest); ok {
			again, err := decodeRequest(encodeAppend(nil, a), testNode)
			require.NoError(t, err)
			require.Equal(t, a, again)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	f.Add(encodeReply(nil, raft.RPCResponse{Error: errDisk}))
	f.Add(encodeReply(nil, raft.RPCResponse{Response: &raft.AppendEntriesResponse{Term: 1, Success: true}}))
	f.Fuzz(func(_ *testing.T, frame []byte) {
		decodeAppendReply(frame, new(raft.AppendEntriesResponse))
		decodeVoteReply(frame, new(raft.RequestVoteResponse))
		decodePreVoteReply(frame, new(raft.RequestPreVoteResponse))
		decodeTimeoutNowReply(frame, new(raft.TimeoutNowResponse))
		decodeInstallReply(frame, new(raft.InstallSnapshotResponse))
	})
}

func BenchmarkAppend20KB(b *testing.B) {
	request := &raft.AppendEntriesRequest{
		Term: 3, PrevLogEntry: 1 << 20, PrevLogTerm: 2, LeaderCommitIndex: 1 << 20,
		Entries: []*raft.Log{{Index: 1<<20 + 1, Term: 3, Data: make([]byte, 20<<10)}},
	}
	b.ReportAllocs()
	var frame []byte
	for b.Loop() {
		frame = encodeAppend(frame[:0], request)
		if _, err := decodeRequest(frame, testNode); err != nil {
			b.Fatal(err)
		}
	}
}

package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lockstep/engine/fingerprint"
)

// lived is an engine in which a bit of everything is going on.
func lived(t require.TestingT) *Engine {
	limits := smallLimits()
	limits.Locks, limits.WaitsPerSession, limits.PossessionsPerSession = 10, 10, 10
	e := New(Config{Lineage: 7, Limits: limits})
	q := map[SessionID]uint64{}
	h := func(id SessionID) Request {
		q[id]++
		return Request{Session: id, Incarnation: 1, Sequence: q[id]}
	}
	apply := func(at time.Duration, commands ...Command) {
		for _, r := range e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: Batch{Time: LogTime(at), Commands: commands}}).Results {
			refused, bad := r.(*Refused)
			require.False(t, bad && refused.Reason == ReasonInvalid, "%v", r)
		}
	}
	apply(0, &TakeOffice{Node: "n1", Term: 1})
	for i := range 3 {
		apply(0, &OpenSession{SecretHash: [32]byte{byte(i + 1)}, TTL: 10 * time.Second, Grace: 4 * time.Second, Principal: "p", Label: "l"})
	}
	apply(1,
		&Acquire{Request: h(1), Owner: 1, Path: "/a", Mode: Exclusive, Hold: time.Hour, Delay: time.Minute},
		&Acquire{Request: h(2), Owner: 1, Path: "/a", Mode: Shared, Wait: Waiting(time.Hour), Delay: time.Second},
		&Acquire{Request: h(2), Owner: 2, Path: "/a", Mode: Exclusive, Wait: WaitForever, Hold: time.Second},
		&Acquire{Request: h(3), Owner: 1, Path: "/b", Mode: Shared},
		&Acquire{Request: h(2), Owner: 1, Path: "/b", Mode: Shared},
		&Acquire{Request: h(3), Owner: 1, Path: "/c", Mode: Exclusive, Hold: time.Second, Delay: time.Hour},
		&Acquire{Request: h(2), Owner: 1, Path: "/c", Mode: Exclusive, Wait: Waiting(time.Hour)},
		&Acquire{Request: h(1), Owner: 1, Path: "/b", Mode: Exclusive},
		&Release{Request: h(2), Owner: 1, Path: "/b", Token: 3},
		&Cancel{Request: h(2), Target: 40},
		&Cancel{Request: h(2), Target: 2},
		&Silent{Term: 1, Session: 2, Observed: time.Second},
	)
	apply(2*time.Second, &Tick{Term: 1})
	apply(2*time.Second, &Leave{h(3)}, &TakeOver{Session: 1, SecretHash: [32]byte{1}, Principal: "p", Nonce: 5})
	for i := range 4 {
		apply(3*time.Second, &Acquire{Request: Request{Session: 1, Incarnation: 2, Sequence: uint64(10 + i), AckedThrough: 4}, Owner: 9, Path: fmt.Sprintf("/d/%d", i), Mode: Exclusive})
	}
	apply(4*time.Second, &ExpireSession{Term: 1, Session: 1})
	require.NoError(t, e.CheckInvariants())
	require.Positive(t, e.ending.Len(), "a session is half freed")
	return e
}

func TestSnapshotComesBackWhole(t *testing.T) {
	e := lived(t)
	data := snapshot(t, e)
	for name, r := range map[string]io.Reader{
		"at once":       bytes.NewReader(data),
		"byte by byte":  iotest.OneByteReader(bytes.NewReader(data)),
		"end with data": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Restore(r, Config{Lineage: 7, Limits: e.Limits()})
			require.NoError(t, err)
			require.Equal(t, data, snapshot(t, got))
			require.Equal(t, e.Digest(), got.Digest())
			assert.Equal(t, e.Counts(), got.Counts())
			assert.Equal(t, []any{e.Index(), e.Term(), e.Time(), e.Lineage(), e.Tenure(), e.LastToken()},
				[]any{got.Index(), got.Term(), got.Time(), got.Lineage(), got.Tenure(), got.LastToken()})
		})
	}
}

func TestRestoreTakesOrChecksTheConfiguration(t *testing.T) {
	e := lived(t)
	data := snapshot(t, e)
	other := e.Limits()
	other.Locks++
	for _, c := range []struct {
		name string
		cfg  Config
		want error
	}{
		{"whatever the snapshot says", Config{}, nil},
		{"the same", Config{Lineage: 7, Limits: e.Limits()}, nil},
		{"another lineage", Config{Lineage: 8}, ErrLineage},
		{"other limits", Config{Limits: other}, ErrLimits},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Restore(bytes.NewReader(data), c.cfg)
			require.ErrorIs(t, err, c.want)
			if c.want == nil {
				require.Equal(t, e.Limits(), got.Limits())
			}
		})
	}
}

func TestRestoreRefusesEveryDamagedByte(t *testing.T) {
	data := snapshot(t, lived(t))
	for i := range data {
		damaged := bytes.Clone(data)
		damaged[i] ^= 0x10
		_, err := Restore(bytes.NewReader(damaged), Config{})
		if i == len(snapshotMagic) {
			require.ErrorIs(t, err, ErrVersion)
			continue
		}
		require.ErrorIs(t, err, ErrCorrupt, "byte %d", i)
	}
	for n := range data {
		_, err := Restore(bytes.NewReader(data[:n]), Config{})
		require.ErrorIs(t, err, ErrCorrupt, "cut at %d", n)
	}
	_, err := Restore(bytes.NewReader(append(data, 0)), Config{})
	require.ErrorIs(t, err, ErrCorrupt, "a byte more")
}

func TestRestoreReturnsTheReadersError(t *testing.T) {
	data := snapshot(t, lived(t))
	broken := errors.New("the disk is gone")
	for _, n := range []int{0, 3, 20, len(data) - 2} {
		_, err := Restore(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken)), Config{})
		require.ErrorIs(t, err, broken)
		require.NotErrorIs(t, err, ErrCorrupt)
	}
}

func TestWriteSnapshotReturnsTheWritersError(t *testing.T) {
	broken := errors.New("the disk is full")
	require.ErrorIs(t, lived(t).View().WriteSnapshot(failingWriter{broken}), broken)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// A long length is no reason to make room for it.
func TestRestoreAllocatesOnlyWhatIsThere(t *testing.T) {
	claim := append([]byte(snapshotMagic), snapshotVersion)
	claim = appendUint(claim, maxRecordBytes)
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Restore(bytes.NewReader(claim), Config{})
		}
	}).AllocedBytesPerOp()
	assert.Less(t, allocated, int64(4*chunkBytes))
	_, err := Restore(bytes.NewReader(append(claim[:len(claim)-1], 0x7f)), Config{})
	require.ErrorIs(t, err, ErrCorrupt)
}

// reseal makes the checksums of a damaged snapshot fit again, so that what is
// behind them is tested.
func reseal(data []byte) []byte {
	const head = len(snapshotMagic) + 1
	if len(data) < head+12 {
		return data
	}
	body := data[:len(data)-12]
	var digest uint64
	seed := uint64(seedHeader)
	var sessions uint64
	rest := reader{data: body[head:]}
	for len(rest.data) > 0 && !rest.failed {
		n := rest.count(1)
		rec := rest.data[:n]
		rest.data = rest.data[n:]
		digest += fingerprint.Of(seed, rec)
		switch seed {
		case seedHeader:
			h := reader{data: rec}
			_, sessions, _ = decodeHeader(&h)
			seed = seedSession
		case seedSession:
			sessions--
		}
		if seed == seedSession && sessions == 0 {
			seed = seedLock
		}
	}
	out := binary.LittleEndian.AppendUint64(bytes.Clone(body), digest)
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

func TestResealMakesWhatWriteSnapshotMakes(t *testing.T) {
	data := snapshot(t, lived(t))
	require.Equal(t, data, reseal(data))
}

// Whatever fits its checksums is either refused or a sound state that writes the
// same bytes.
func TestProp_RestoreIsSoundBehindTheChecksums(t *testing.T) {
	good := snapshot(t, lived(t))
	rapid.Check(t, func(t *rapid.T) {
		data := bytes.Clone(good)
		for range 1 + pick(t, 3, "damages") {
			i := 5 + pick(t, len(data)-17, "where")
			data[i] = oneOf(t, []byte{data[i] + 1, data[i] - 1, 0, 1, 2, 0x7f, data[i] ^ 0x80, data[i] ^ 4}, "what")
		}
		checkRestored(t, reseal(data))
	})
}

// checkRestored checks what comes of a snapshot, and whether the engine goes on.
func checkRestored(t require.TestingT, data []byte) {
	e, err := Restore(bytes.NewReader(data), Config{})
	if err != nil {
		require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion), "%v", err)
		return
	}
	require.Equal(t, data, snapshot(t, e))
	if e.Index() > 1<<60 || e.Time() == MaxLogTime {
		return
	}
	e.Apply(Entry{Index: e.Index() + 1, Term: e.Term(), Batch: Batch{Time: e.Time() + 1, Commands: everyCommand()}})
	require.NoError(t, e.CheckInvariants())
}

func FuzzRestore(f *testing.F) {
	f.Add(snapshot(f, lived(f)))
	f.Add(snapshot(f, New(DefaultConfig(1))))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkRestored(t, data)
		checkRestored(t, reseal(data))
	})
}

// Limits at their largest keep records within what a snapshot holds.
func TestLargestRecordsFit(t *testing.T) {
	const most = 1<<64 - 1
	top := Position{Index: most, N: 1<<32 - 1}
	holder := len(appendHolder(nil, &grant{
		session: most, owner: most, token: most, floor: most, since: top, sinceTime: MaxLogTime, waiter: most,
		until: MaxLogTime, delay: MaxDelay, mode: Exclusive, count: MaxCount, incarnation: 1<<32 - 1,
	}))
	waits := &waiter{
		id: most, session: most, incarnation: 1<<32 - 1, owner: most, mode: Exclusive, sequence: MaxSequence, since: top,
		sinceTime: MaxLogTime, deadline: MaxLogTime, hold: MaxHold, delay: MaxDelay,
	}
	waits.key.Rank = 1<<63 - 1
	assert.Less(t, (1<<16)*max(holder, len(appendWaiter(nil, waits)))+1024, maxRecordBytes)

	s := &session{endedWaits: []WaitOutcome{{Waiter: most, Sequence: MaxSequence, Token: most, Reason: EndCancelled, Position: top}}}
	with := len(appendSession(nil, s))
	s.endedWaits = nil
	outcome := with - len(appendSession(nil, s))
	kept := len(appendKept(nil, &Granted{Grant: Grant{
		Path: "/" + string(make([]byte, MaxPathBytes)), Session: most, Owner: most, Mode: Shared, Token: most, Floor: most, Count: MaxCount,
		Since: top, SinceTime: MaxLogTime, Waiter: most, Until: MaxLogTime,
	}}))
	assert.Less(t, (1<<18)*outcome+ReplyWindow*(kept+20)+4096, maxRecordBytes)
}

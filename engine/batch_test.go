package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everyCommand has one of each kind, all fields set to something telling.
func everyCommand() []Command {
	r := Request{Session: 1 << 40, Incarnation: 7, Sequence: 300, AckedThrough: 200, SeenThrough: Position{Index: 1 << 33, N: 129}}
	return []Command{
		&TakeOffice{Node: "n1", Term: 3},
		&Tick{Term: 3},
		&OpenSession{SecretHash: [32]byte{1, 2, 31: 9}, TTL: 10 * time.Second, Grace: 4 * time.Second, Principal: "p", Label: "ü"},
		&TakeOver{Session: 5, SecretHash: [32]byte{3}, Principal: "p", Nonce: 1 << 63},
		&Leave{r},
		&EndSession{r},
		&Silent{Term: 3, Session: 4, Observed: time.Second},
		&Alive{Term: 3, Session: 4},
		&ExpireSession{Term: 3, Session: 4},
		&Acquire{Request: r, Owner: 2, Path: "/a/b", Mode: Shared, Wait: WaitForever, Hold: time.Hour, Delay: time.Minute},
		&Acquire{Request: r, Owner: 2, Path: "/a/b", Mode: Exclusive, Wait: Waiting(time.Minute)},
		&Release{Request: r, Owner: 2, Path: "/a/b", Token: 1 << 50},
		&Cancel{Request: r, Target: 299},
	}
}

func TestBatchesComeBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		batch Batch
	}{
		{"empty", Batch{Time: 5, Commands: []Command{}}},
		{"every kind", Batch{Time: MaxLogTime, Commands: everyCommand()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := AppendBatch([]byte("kept"), c.batch)
			require.Equal(t, "kept", string(data[:4]))
			got, err := DecodeBatch(data[4:])
			require.NoError(t, err)
			assert.Equal(t, c.batch, got)
		})
	}
}

// Logs outlive programs: these bytes must stay readable.
func TestBatchFormatIsPinned(t *testing.T) {
	data := AppendBatch(nil, Batch{Time: 1000, Commands: []Command{
		&Tick{Term: 2},
		&Acquire{Request: Request{Session: 1, Incarnation: 1, Sequence: 2, AckedThrough: 1}, Owner: 1, Path: "/a", Mode: Exclusive, Wait: WaitForever},
	}})
	assert.Equal(t, "\x01\xe8\x07\x02\x02\x02\x0a\x01\x01\x02\x01\x00\x00\x01\x02/a\x05\x01\x00\x00", string(data))
}

func TestDecodeBatchRefusesDamage(t *testing.T) {
	good := AppendBatch(nil, Batch{Time: 1000, Commands: everyCommand()})
	for n := range good {
		_, err := DecodeBatch(good[:n])
		require.ErrorIs(t, err, ErrCorrupt, "cut at %d", n)
	}
	for _, c := range []struct {
		name string
		data string
		want error
	}{
		{"nothing", "", ErrCorrupt},
		{"newer version", "\x02\x00\x00", ErrVersion},
		{"newer command", "\x01\x00\x01\x63\x00", ErrVersion},
		{"bytes after the end", "\x01\x00\x00\x00", ErrCorrupt},
		{"long form of a number", "\x01\x80\x00\x00", ErrCorrupt},
		{"overflowing number", "\x01" + strings.Repeat("\xff", 10) + "\x01", ErrCorrupt},
		{"time beyond the end of time", "\x01\x81\x80\x80\x80\x80\x80\x80\x80\x40\x00", ErrCorrupt},
		{"more commands than bytes", "\x01\x00\xff\xff\xff\xff\x0f", ErrCorrupt},
		{"text longer than the bytes", "\x01\x00\x01\x01\x01\xff\xff\xff\x0fn", ErrCorrupt},
		{"hash cut short", "\x01\x00\x01\x03\x01\x02", ErrCorrupt},
		{"too many commands", "\x01\x00\x81\x20" + strings.Repeat("\x02\x01", MaxBatchCommands+1), ErrCorrupt},
		{"incarnation of more than 32 bits", "\x01\x00\x01\x05\x01\x80\x80\x80\x80\x10\x01\x00\x00\x00", ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeBatch([]byte(c.data))
			require.ErrorIs(t, err, c.want)
		})
	}
	most := Batch{}
	for range MaxBatchCommands {
		most.Commands = append(most.Commands, &Tick{Term: 1})
	}
	_, err := DecodeBatch(AppendBatch(nil, most))
	require.NoError(t, err)
}

func TestDecodingAllocatesOnlyWhatIsThere(t *testing.T) {
	for _, data := range []string{
		"\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"\x01\x00\x01\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7fn",
	} {
		allocated := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = DecodeBatch([]byte(data))
			}
		}).AllocedBytesPerOp()
		assert.Less(t, allocated, int64(4096))
	}
}

// FuzzDecodeBatch: what decodes encodes to the same bytes.
func FuzzDecodeBatch(f *testing.F) {
	f.Add(AppendBatch(nil, Batch{Time: 1000, Commands: everyCommand()}))
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		batch, err := DecodeBatch(data)
		if err != nil {
			return
		}
		require.Equal(t, data, AppendBatch(nil, batch))
	})
}

// FuzzPoison: no committed batch of a known version stops a node, replicas agree
// on what it does, and the state stays sound. data is cut into several entries.
func FuzzPoison(f *testing.F) {
	prelude := []Command{
		&TakeOffice{Node: "n", Term: 1},
		&OpenSession{SecretHash: [32]byte{1}, TTL: 10 * time.Second, Grace: 4 * time.Second},
		&OpenSession{SecretHash: [32]byte{2}, TTL: 3 * time.Second, Grace: time.Second},
		&Acquire{Request: Request{Session: 1, Incarnation: 1, Sequence: 1}, Owner: 1, Path: "/a", Mode: Exclusive, Delay: time.Second},
		&Acquire{Request: Request{Session: 2, Incarnation: 1, Sequence: 1}, Owner: 1, Path: "/a", Mode: Shared, Wait: WaitForever},
		&Acquire{Request: Request{Session: 2, Incarnation: 1, Sequence: 2}, Owner: 1, Path: "/b", Mode: Shared, Hold: time.Second},
	}
	f.Add(AppendBatch(nil, Batch{Time: 1000, Commands: everyCommand()}), uint16(3))
	f.Add(AppendBatch(nil, Batch{Time: MaxLogTime, Commands: []Command{
		&Release{Request: Request{Session: 1, Incarnation: 1, Sequence: 2}, Owner: 1, Path: "/a", Token: 1},
		&TakeOver{Session: 2, SecretHash: [32]byte{2}, Nonce: 1},
		&ExpireSession{Term: 1, Session: 2},
		&EndSession{Request{Session: 1, Incarnation: 1, Sequence: 3}},
		&Cancel{Request: Request{Session: 2, Incarnation: 1, Sequence: 3}, Target: 1},
	}}), uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		batch, err := DecodeBatch(data)
		if err != nil {
			return
		}
		limits := smallLimits()
		first, second := New(Config{Lineage: 1, Limits: limits}), New(Config{Lineage: 1, Limits: limits})
		for _, e := range []*Engine{first, second} {
			e.Apply(Entry{Index: 1, Term: 1, Batch: Batch{Commands: prelude}})
			for chunk := range chunks(batch.Commands, int(cut%8)+1) {
				e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: Batch{Time: batch.Time, Commands: chunk}})
				if e == first {
					require.NoError(t, e.CheckInvariants())
					e.View()
				}
			}
		}
		require.Equal(t, first.Digest(), second.Digest())
	})
}

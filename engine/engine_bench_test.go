package engine

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// openSessions makes an engine in office with n sessions.
func openSessions(tb testing.TB, n int) *Engine {
	tb.Helper()
	e := New(DefaultConfig(1))
	batch := []Command{&TakeOffice{Node: "n1", Term: 1}}
	for i := range n {
		open := &OpenSession{TTL: DefaultTTL, Grace: 4 * time.Second, Principal: "bench"}
		open.SecretHash[0], open.SecretHash[1], open.SecretHash[2] = byte(i), byte(i>>8), 1
		batch = append(batch, open)
	}
	for chunk := range chunks(batch, MaxBatchCommands) {
		for _, r := range e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: Batch{Time: 1, Commands: chunk}}).Results {
			if refused, bad := r.(*Refused); bad {
				require.FailNow(tb, "set-up refused", "%+v", refused)
			}
		}
	}
	return e
}

func chunks(commands []Command, n int) func(func([]Command) bool) {
	return func(yield func([]Command) bool) {
		for len(commands) > 0 {
			k := min(n, len(commands))
			if !yield(commands[:k]) {
				return
			}
			commands = commands[k:]
		}
	}
}

// pairs writes the requests of sessions that acquire and release, as a log.
type pairs struct {
	sequence []uint64
	paths    []string
	tokens   Token
}

func newPairs(sessions int) *pairs {
	p := &pairs{sequence: make([]uint64, sessions)}
	for i := range 16 * sessions {
		p.paths = append(p.paths, fmt.Sprintf("/bench/locks/%08d", i))
	}
	return p
}

func (p *pairs) header(i int) Request {
	p.sequence[i]++
	q := p.sequence[i]
	return Request{Session: SessionID(i + 1), Incarnation: 1, Sequence: q, AckedThrough: q - 1}
}

// batch lets each session acquire, or release what it acquired in the last one.
func (p *pairs) batch(n int, t LogTime) Batch {
	b := Batch{Time: t}
	for i := range p.sequence {
		path := p.paths[(i*16+n/2)%len(p.paths)]
		if n%2 == 0 {
			b.Commands = append(b.Commands, &Acquire{
				Request: p.header(i), Owner: 1, Path: path, Mode: Exclusive, Wait: Waiting(10 * time.Second),
			})
		} else {
			b.Commands = append(b.Commands, &Release{Request: p.header(i), Owner: 1, Path: path, Token: p.tokens + Token(i) + 1})
		}
	}
	if n%2 == 1 {
		p.tokens += Token(len(p.sequence))
	}
	return b
}

// One command is an operation: batches of 64, the digest every 1,024 entries.
func BenchmarkApplyAcquireRelease(b *testing.B) {
	const sessions = 64
	e := openSessions(b, sessions)
	p := newPairs(sessions)
	const ahead = 2048
	var batches []Batch
	b.ReportAllocs()
	b.ResetTimer()
	done := 0
	for n := 0; done < b.N; n++ {
		if n%ahead == 0 {
			b.StopTimer()
			batches = batches[:0]
			for i := range ahead {
				batches = append(batches, p.batch(n+i, LogTime(n+i)*LogTime(time.Millisecond)))
			}
			b.StartTimer()
		}
		out := e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: batches[n%ahead]})
		done += len(out.Results)
		if e.Index()%1024 == 0 {
			e.Digest()
		}
	}
	b.StopTimer()
	require.LessOrEqual(b, e.Counts().Grants, uint64(sessions))
	require.EqualValues(b, (done+sessions)/2/sessions*sessions, e.LastToken(), "every acquire was granted")
	b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "commands/s")
}

// million makes an engine in which 100 sessions hold 1,000,000 locks.
func million(tb testing.TB) *Engine {
	tb.Helper()
	const sessions, each = 100, 10_000
	e := openSessions(tb, sessions)
	for i := range each {
		b := Batch{Time: 1}
		for s := range sessions {
			b.Commands = append(b.Commands, &Acquire{
				Request: Request{Session: SessionID(s + 1), Incarnation: 1, Sequence: uint64(i + 1), AckedThrough: uint64(i)},
				Owner:   1, Path: fmt.Sprintf("/million/%03d/%05d", s, i), Mode: Exclusive,
			})
		}
		e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: b})
	}
	require.EqualValues(tb, sessions*each, e.Counts().Grants)
	return e
}

func liveHeap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// Reports the live heap of a million held locks.
func BenchmarkMillionLocks(b *testing.B) {
	for b.Loop() {
		before := liveHeap()
		e := million(b)
		b.ReportMetric((liveHeap()-before)/(1<<20), "live-MB")
		runtime.KeepAlive(e)
	}
}

// Reports the longest apply of 64 commands while a view of a million locks is
// written beside it: once by the clock, which counts what else the machine does,
// and once by what the applying thread computed.
func BenchmarkApplyDuringSnapshot(b *testing.B) {
	e := million(b)
	p := newPairs(64)
	for i := range p.sequence {
		p.sequence[i] = 10_000
	}
	p.tokens = e.LastToken()
	n := 0
	measure := func(b *testing.B, now func() time.Duration) {
		runtime.GC()
		var took []time.Duration
		for b.Loop() {
			view := e.View()
			written := make(chan int64)
			go func() {
				var w countingWriter
				_ = view.WriteSnapshot(&w)
				written <- int64(w)
			}()
			for size := int64(0); size == 0; n++ {
				batch := p.batch(n, LogTime(n+2))
				began := now()
				e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: batch})
				took = append(took, now()-began)
				select {
				case size = <-written:
					b.ReportMetric(float64(size)/(1<<20), "snapshot-MB")
				default:
				}
			}
		}
		slices.Sort(took)
		for name, d := range map[string]time.Duration{
			"p50-ms": took[len(took)/2], "p99.9-ms": took[len(took)*999/1000], "max-ms": took[len(took)-1],
		} {
			b.ReportMetric(float64(d.Microseconds())/1000, name)
		}
	}
	b.Run("by the clock", func(b *testing.B) { measure(b, b.Elapsed) })
	b.Run("computed", func(b *testing.B) {
		defer lockThread()()
		measure(b, threadTime)
	})
}

type countingWriter int64

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}

func BenchmarkAppendBatch(b *testing.B) {
	batch := newPairs(64).batch(0, 1)
	buf := AppendBatch(nil, batch)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendBatch(buf[:0], batch)
	}
}

func BenchmarkDecodeBatch(b *testing.B) {
	data := AppendBatch(nil, newPairs(64).batch(0, 1))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBatch(data); err != nil {
			b.Fatal(err)
		}
	}
}

// One held lock is an operation in the next two.
func BenchmarkWriteSnapshot(b *testing.B) {
	view := heldLocks(b, 10_000).View()
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += 10_000 {
		if err := view.WriteSnapshot(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRestore(b *testing.B) {
	var buf bytes.Buffer
	require.NoError(b, heldLocks(b, 10_000).View().WriteSnapshot(&buf))
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += 10_000 {
		if _, err := Restore(bytes.NewReader(buf.Bytes()), Config{}); err != nil {
			b.Fatal(err)
		}
	}
}

func heldLocks(tb testing.TB, n int) *Engine {
	tb.Helper()
	e := openSessions(tb, 1)
	for i := range n {
		e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: Batch{Time: 1, Commands: []Command{&Acquire{
			Request: Request{Session: 1, Incarnation: 1, Sequence: uint64(i + 1), AckedThrough: uint64(i)},
			Owner:   1, Path: fmt.Sprintf("/held/%06d", i), Mode: Exclusive,
		}}}})
	}
	return e
}

// Asking for the digest at every entry, as simulations do.
func BenchmarkDigestAtEveryEntry(b *testing.B) {
	e := openSessions(b, 64)
	p := newPairs(64)
	b.ReportAllocs()
	done := 0
	for n := 0; done < b.N; n++ {
		done += len(e.Apply(Entry{Index: e.Index() + 1, Term: 1, Batch: p.batch(n, LogTime(n))}).Results)
		e.Digest()
	}
}

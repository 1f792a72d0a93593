package transport_test

import (
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// loop is an endless stream of the same frames.
type loop struct {
	wire []byte
	at   int
}

func (l *loop) Read(p []byte) (int, error) {
	if l.at == len(l.wire) {
		l.at = 0
	}
	n := copy(p, l.wire[l.at:])
	l.at += n
	return n, nil
}

func BenchmarkFrameReader(b *testing.B) {
	var wire []byte
	for range 500 {
		wire = transport.AppendFrame(wire, make([]byte, 60))
	}
	frames := transport.NewFrameReader(&loop{wire: wire}, limit)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := frames.Read(); err != nil {
			b.Fatal(err)
		}
	}
}

func acquire() *lockstepv1.ClientFrame {
	return &lockstepv1.ClientFrame{Id: 12345, Body: &lockstepv1.ClientFrame_Acquire{Acquire: &lockstepv1.Acquire{
		Header: &lockstepv1.RequestHeader{Session: 77, Incarnation: 1, Sequence: 12345, AcknowledgedThrough: 12340},
		Owner:  9, Path: "/orders/eu/42", Mode: lockstepv1.Mode_MODE_EXCLUSIVE, WaitNs: -1,
	}}}
}

func BenchmarkAppendMessage(b *testing.B) {
	m := acquire()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = transport.AppendMessage(dst[:0], m)
	}
}

// BenchmarkFrameWriter is the cost of one frame from many goroutines to a sink
// that costs nothing.
func BenchmarkFrameWriter(b *testing.B) {
	for _, c := range []struct {
		name string
		put  func(w *transport.FrameWriter) error
	}{
		{"payload", func(w *transport.FrameWriter) error { return w.Enqueue(b.Context(), make([]byte, 60)) }},
		{"message", func() func(w *transport.FrameWriter) error {
			m := acquire()
			return func(w *transport.FrameWriter) error { return w.EnqueueMessage(b.Context(), m) }
		}()},
	} {
		b.Run(c.name, func(b *testing.B) {
			var sink counter
			w := transport.NewFrameWriter(&sink, 1<<20)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := c.put(w); err != nil {
						b.Error(err)
						return
					}
				}
			})
			require.NoError(b, w.Close(b.Context()))
			b.ReportMetric(float64(b.N)/float64(sink.writes.Load()), "frames/write")
		})
	}
}

type counter struct{ writes atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return io.Discard.Write(p)
}

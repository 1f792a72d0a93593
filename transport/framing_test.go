package transport_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

const limit = 1 << 20

func TestProp_FramesSurviveAnyChunking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payloads := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []byte {
			size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 5000), rapid.Just(100_000)).Draw(t, "size")
			return bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, size)
		}), 0, 30).Draw(t, "payloads")
		var wire []byte
		for _, p := range payloads {
			wire = transport.AppendFrame(wire, p)
		}
		chunk := rapid.OneOf(rapid.IntRange(1, 8), rapid.IntRange(1, 100_000)).Draw(t, "chunk")

		frames := transport.NewFrameReader(&chunks{data: wire, size: chunk}, limit)
		for i, want := range payloads {
			got, err := frames.Read()
			require.NoError(t, err, "frame %d", i)
			require.True(t, bytes.Equal(want, got), "frame %d: %d bytes instead of %d", i, len(got), len(want))
		}
		for range 2 {
			_, err := frames.Read()
			require.Equal(t, io.EOF, err)
		}
	})
}

// chunks is a reader that returns at most size bytes at a time.
type chunks struct {
	data []byte
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.data[:min(c.size, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

func TestFrameReader_BadInput(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 'x'}
	for _, c := range []struct {
		name string
		wire []byte
		want error
	}{
		{"nothing", nil, io.EOF},
		{"half a length", []byte{0, 0}, io.ErrUnexpectedEOF},
		{"no payload", []byte{0, 0, 0, 1}, io.ErrUnexpectedEOF},
		{"half a payload", []byte{0, 0, 0, 3, 'a', 'b'}, io.ErrUnexpectedEOF},
		{"a length beyond any limit", huge, transport.ErrFrameTooLarge},
		{"a length one above the limit", binary.BigEndian.AppendUint32(nil, limit+1), transport.ErrFrameTooLarge},
		{"text", []byte("GET / HTTP/1.1\r\n\r\n"), transport.ErrFrameTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			frames := transport.NewFrameReader(bytes.NewReader(c.wire), limit)
			for range 2 { // the second answer is the first
				_, err := frames.Read()
				require.ErrorIs(t, err, c.want)
			}
		})
	}
}

func TestFrameReader_LyingLengthCostsNothing(t *testing.T) {
	wire := append(binary.BigEndian.AppendUint32(nil, transport.MaxFrame), "only this"...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_, err := transport.NewFrameReader(bytes.NewReader(wire), transport.MaxFrame).Read()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "for 100 frames that claim 64 MiB each")
}

func TestFrameReader_GoesOnAfterADeadline(t *testing.T) {
	wire := transport.AppendFrame(nil, []byte("whole"))
	src := io.MultiReader(
		bytes.NewReader(wire[:6]), iotest.ErrReader(os.ErrDeadlineExceeded))
	resumable := &switching{first: src, then: bytes.NewReader(wire[6:])}
	frames := transport.NewFrameReader(resumable, limit)

	_, err := frames.Read()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	got, err := frames.Read()
	require.NoError(t, err)
	require.Equal(t, "whole", string(got))
}

// switching reads first until its first error, then the other.
type switching struct{ first, then io.Reader }

func (s *switching) Read(p []byte) (int, error) {
	n, err := s.first.Read(p)
	if err != nil {
		s.first = s.then
	}
	return n, err
}

func TestFrameReader_ReadyAndRest(t *testing.T) {
	wire := transport.AppendFrame(nil, []byte("one"))
	wire = transport.AppendFrame(wire, []byte("two"))
	wire = append(wire, "raw bytes"...)
	frames := transport.NewFrameReader(bytes.NewReader(wire), limit)

	require.False(t, frames.Ready(), "nothing was read yet")
	one, err := frames.Read()
	require.NoError(t, err)
	require.Equal(t, "one", string(one))
	require.True(t, frames.Ready(), "two came with one")
	two, err := frames.Read()
	require.NoError(t, err)
	require.Equal(t, "two", string(two))

	rest, err := io.ReadAll(frames.Rest())
	require.NoError(t, err)
	require.Equal(t, "raw bytes", string(rest))
}

func TestFrameReader_GivesLargeBuffersBack(t *testing.T) {
	wire := transport.AppendFrame(nil, make([]byte, limit))
	for range 200 {
		wire = transport.AppendFrame(wire, []byte("small"))
	}
	wire = transport.AppendFrame(wire, make([]byte, limit))
	frames := transport.NewFrameReader(&chunks{data: wire, size: 9}, limit)
	for i := range 202 {
		_, err := frames.Read()
		require.NoError(t, err, "frame %d", i)
	}
}

func TestFrameReader_SourceWithoutProgress(t *testing.T) {
	_, err := transport.NewFrameReader(stuck{}, limit).Read()
	require.ErrorIs(t, err, io.ErrNoProgress)
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestMessages(t *testing.T) {
	hello := &lockstepv1.Hello{Version: 1, Cluster: "test", Agent: "x"}
	wire, err := transport.AppendMessage([]byte{}, hello)
	require.NoError(t, err)
	wire, err = transport.AppendMessage(wire, &lockstepv1.Hello{})
	require.NoError(t, err)
	wire = transport.AppendFrame(wire, []byte("\xff\xff not a message"))

	frames := transport.NewFrameReader(bytes.NewReader(wire), limit)
	var got lockstepv1.Hello
	require.NoError(t, transport.ReadMessage(frames, &got))
	require.True(t, proto.Equal(hello, &got))
	require.NoError(t, transport.ReadMessage(frames, &got))
	require.True(t, proto.Equal(&lockstepv1.Hello{}, &got), "the message is reset before it is read")
	require.ErrorIs(t, transport.ReadMessage(frames, &got), transport.ErrMalformed)
	require.Equal(t, io.EOF, transport.ReadMessage(frames, &got))
}

func TestAppendMessage_LeavesNothingBehindOnErrors(t *testing.T) {
	before := []byte("before")
	got, err := transport.AppendMessage(before, &lockstepv1.Hello{Cluster: "\xff"})
	require.Error(t, err)
	require.Equal(t, "before", string(got))
}

func FuzzFrameReader(f *testing.F) {
	f.Add([]byte{}, 1)
	f.Add(transport.AppendFrame(nil, []byte("seed")), 3)
	f.Add([]byte{0, 0, 0, 0, 0xff}, 7)
	f.Fuzz(func(t *testing.T, wire []byte, chunk int) {
		if chunk < 1 || chunk > 1<<16 {
			return
		}
		frames := transport.NewFrameReader(&chunks{data: wire, size: chunk}, 1000)
		left := wire
		for {
			ready := frames.Ready()
			got, err := frames.Read()
			if err != nil {
				assertEnd(t, left, err)
				return
			}
			length := int(binary.BigEndian.Uint32(left))
			require.True(t, bytes.Equal(left[4:4+length], got))
			left = left[4+length:]
			_ = ready
		}
	})
}

// assertEnd checks err against what is left of the wire: the dumb decoder.
func assertEnd(t *testing.T, left []byte, err error) {
	t.Helper()
	switch {
	case len(left) == 0:
		require.Equal(t, io.EOF, err)
	case len(left) >= 4 && binary.BigEndian.Uint32(left) > 1000:
		require.ErrorIs(t, err, transport.ErrFrameTooLarge)
	default:
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}

// gate is a writer that writes only what it is let.
type gate struct {
	mu     sync.Mutex
	writes [][]byte
	enter  chan struct{}
	leave  chan error
}

func newGate() *gate { return &gate{enter: make(chan struct{}), leave: make(chan error)} }

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	g.writes = append(g.writes, bytes.Clone(p))
	g.mu.Unlock()
	g.enter <- struct{}{}
	if err := <-g.leave; err != nil {
		return 0, err
	}
	return len(p), nil
}

func TestFrameWriter_GathersWhatCameDuringAWrite(t *testing.T) {
	g := newGate()
	w := transport.NewFrameWriter(g, limit)
	require.NoError(t, w.TryEnqueue([]byte("first")))
	<-g.enter
	for _, p := range []string{"a", "b", ""} {
		require.NoError(t, w.TryEnqueue([]byte(p)))
	}
	require.NoError(t, w.TryEnqueueMessage(&lockstepv1.Hello{Version: 1}))
	g.leave <- nil
	<-g.enter
	go func() { g.leave <- nil }()
	require.NoError(t, w.Close(t.Context()))

	require.Len(t, g.writes, 2)
	require.Equal(t, transport.AppendFrame(nil, []byte("first")), g.writes[0])
	require.Equal(t, []byte("\x00\x00\x00\x01a\x00\x00\x00\x01b\x00\x00\x00\x00\x00\x00\x00\x02\x08\x01"), g.writes[1])
	require.ErrorIs(t, w.TryEnqueue(nil), transport.ErrClosed)
	require.ErrorIs(t, w.Enqueue(t.Context(), nil), transport.ErrClosed)
}

func TestFrameWriter_IsBounded(t *testing.T) {
	g := newGate()
	w := transport.NewFrameWriter(g, 10)
	require.NoError(t, w.TryEnqueue([]byte("under way")))
	<-g.enter
	require.NoError(t, w.TryEnqueue([]byte("nine bytes more than the limit are one frame")))
	require.ErrorIs(t, w.TryEnqueue([]byte("x")), transport.ErrFull)
	require.ErrorIs(t, w.TryEnqueueMessage(&lockstepv1.Hello{}), transport.ErrFull)

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, w.Enqueue(gone, []byte("x")), context.Canceled)

	entered := make(chan error, 2)
	go func() { entered <- w.Enqueue(t.Context(), []byte("waits")) }()
	go func() { entered <- w.EnqueueMessage(t.Context(), &lockstepv1.Hello{}) }()
	g.leave <- nil
	<-g.enter
	require.NoError(t, <-entered)
	require.NoError(t, <-entered)
	g.leave <- nil
	<-g.enter
	g.leave <- nil
	require.NoError(t, w.Close(t.Context()))
}

func TestFrameWriter_ErrorsStay(t *testing.T) {
	broken := errors.New("broken")
	g := newGate()
	w := transport.NewFrameWriter(g, 1)
	require.NoError(t, w.TryEnqueue(nil))
	<-g.enter
	require.NoError(t, w.TryEnqueue(nil))
	waiting := make(chan error, 1)
	go func() { waiting <- w.Enqueue(t.Context(), nil) }()
	g.leave <- broken
	<-w.Done()

	require.ErrorIs(t, <-waiting, broken)
	require.ErrorIs(t, w.TryEnqueue(nil), broken)
	require.ErrorIs(t, w.Err(), broken)
	require.ErrorIs(t, w.Close(t.Context()), broken)
	require.Zero(t, w.Pending())
}

func TestFrameWriter_CloseGivesUpWithItsContext(t *testing.T) {
	g := newGate()
	w := transport.NewFrameWriter(g, limit)
	require.NoError(t, w.TryEnqueue([]byte("stuck")))
	<-g.enter
	require.NoError(t, w.TryEnqueue([]byte("dropped")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, w.Close(ctx), context.Canceled)
	g.leave <- nil
	<-w.Done()
	require.Len(t, g.writes, 1)
	require.ErrorIs(t, w.Close(t.Context()), context.Canceled)
}

func TestFrameWriter_Fail(t *testing.T) {
	cause := errors.New("cause")
	w := transport.NewFrameWriter(io.Discard, limit)
	w.Fail(cause)
	<-w.Done()
	require.ErrorIs(t, w.TryEnqueue(nil), cause)
	require.ErrorIs(t, w.Close(t.Context()), cause)
}

func TestFrameWriter_RefusesWhatCannotBeFramed(t *testing.T) {
	var out bytes.Buffer
	w := transport.NewFrameWriter(&out, limit)
	require.ErrorIs(t, w.TryEnqueue(make([]byte, transport.MaxFrame+1)), transport.ErrFrameTooLarge)
	require.Error(t, w.TryEnqueueMessage(&lockstepv1.Hello{Cluster: "\xff"}))
	require.NoError(t, w.TryEnqueue([]byte("fine")))
	require.NoError(t, w.Close(t.Context()))
	require.Equal(t, transport.AppendFrame(nil, []byte("fine")), out.Bytes())
}

func TestFrameWriter_KeepsEachGoroutinesOrder(t *testing.T) {
	const writers, each = 8, 500
	pr, pw := io.Pipe()
	w := transport.NewFrameWriter(pw, 200)
	var group sync.WaitGroup
	for id := range byte(writers) {
		group.Go(func() {
			for i := range each {
				assert.NoError(t, w.Enqueue(t.Context(), binary.BigEndian.AppendUint32([]byte{id}, uint32(i))))
			}
		})
	}
	go func() {
		group.Wait()
		assert.NoError(t, w.Close(t.Context()))
		pw.Close()
	}()
	next := map[byte]uint32{}
	frames := transport.NewFrameReader(pr, limit)
	for {
		p, err := frames.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Equal(t, next[p[0]], binary.BigEndian.Uint32(p[1:]))
		next[p[0]]++
	}
	require.Len(t, next, writers)
	for _, n := range next {
		require.EqualValues(t, each, n)
	}
}

func TestCloseError(t *testing.T) {
	for _, c := range []struct {
		name string
		err  *transport.CloseError
		want string
	}{
		{"local", &transport.CloseError{Reason: "done"}, "transport: closed here: done"},
		{"remote", &transport.CloseError{Reason: "done", Remote: true}, "transport: closed by the peer: done"},
		{"without reason", &transport.CloseError{}, "transport: closed here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.EqualError(t, c.err, c.want)
			require.ErrorIs(t, c.err, transport.ErrClosed)
		})
	}
	require.Len(t, transport.ClipReason(strings.Repeat("x", 1000)), transport.MaxCloseReason)
	require.Equal(t, "short", transport.ClipReason("short"))
}

func TestLimitsArePositive(t *testing.T) {
	require.Panics(t, func() { transport.NewFrameReader(stuck{}, -1) })
	require.Panics(t, func() { transport.NewFrameReader(stuck{}, transport.MaxFrame+1) })
	require.Panics(t, func() { transport.NewFrameWriter(io.Discard, 0) })
	require.Panics(t, func() { transport.AppendFrame(nil, make([]byte, transport.MaxFrame+1)) })
}

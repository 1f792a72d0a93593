package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/transport"
)

func testOrder(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, server := p.stream(t)
	want := make([]byte, 3<<20)
	for i := range len(want) / 4 {
		binary.BigEndian.PutUint32(want[4*i:], uint32(i))
	}
	go func() {
		for rest, size := want, 1; len(rest) > 0; size = size*3%9973 + 1 {
			n, err := client.Write(rest[:min(size, len(rest))])
			if !assert.NoError(t, err) {
				return
			}
			rest = rest[n:]
		}
		assert.NoError(t, client.CloseWrite())
	}()
	got, err := io.ReadAll(server)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
}

func testFullDuplex(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, server := p.stream(t)
	const size = 2 << 20
	var group sync.WaitGroup
	for _, s := range []transport.Stream{client, server} {
		group.Go(func() {
			_, err := s.Write(bytes.Repeat([]byte("x"), size))
			assert.NoError(t, err)
			assert.NoError(t, s.CloseWrite())
		})
		group.Go(func() {
			n, err := io.Copy(io.Discard, s)
			assert.NoError(t, err)
			assert.EqualValues(t, size, n)
		})
	}
	group.Wait()
}

func testPurposes(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	for _, purpose := range []transport.Purpose{
		transport.PurposeRaft, transport.PurposeHeartbeat, transport.PurposeOps,
		transport.PurposeBulk, transport.PurposeWatch, 200,
	} {
		opened, err := p.client.OpenStream(p.ctx, purpose)
		require.NoError(t, err)
		require.Equal(t, purpose, opened.Purpose())
		write(t, opened, "x")
		accepted, err := p.server.AcceptStream(p.ctx)
		require.NoError(t, err)
		require.Equal(t, purpose, accepted.Purpose())
		require.Equal(t, "x", read(t, accepted, 1))
	}
}

func testSeenOnceWritten(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	_, err := p.client.OpenStream(p.ctx, transport.PurposeBulk)
	require.NoError(t, err)
	second, err := p.client.OpenStream(p.ctx, transport.PurposeWatch)
	require.NoError(t, err)
	write(t, second, "x")
	accepted, err := p.server.AcceptStream(p.ctx)
	require.NoError(t, err)
	require.Equal(t, transport.PurposeWatch, accepted.Purpose())
}

func testEndOfStream(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, server := p.stream(t)
	write(t, client, "last words")
	require.NoError(t, client.CloseWrite())
	require.NoError(t, client.CloseWrite(), "twice is fine")
	_, err := client.Write([]byte("more"))
	require.ErrorIs(t, err, transport.ErrClosed)

	all, err := io.ReadAll(server)
	require.NoError(t, err)
	require.Equal(t, "last words", string(all))
	require.Equal(t, io.EOF, readErr(server), "the end stays the end")

	write(t, server, "answer") // the other direction goes on
	require.Equal(t, "answer", read(t, client, 6))
	require.NoError(t, server.CloseWrite())
	require.Equal(t, io.EOF, readErr(client))
}

func testEmptyStream(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, err := p.client.OpenStream(p.ctx, transport.PurposeBulk)
	require.NoError(t, err)
	require.NoError(t, client.CloseWrite())
	server, err := p.server.AcceptStream(p.ctx)
	require.NoError(t, err)
	require.Equal(t, transport.PurposeBulk, server.Purpose())
	require.Equal(t, io.EOF, readErr(server))
}

func testReadDeadline(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, server := p.stream(t)

	require.NoError(t, server.SetReadDeadline(p.Clock.Now().Add(20*time.Millisecond)))
	require.ErrorIs(t, p.in(t, func() error { return readErr(server) }), os.ErrDeadlineExceeded)
	require.ErrorIs(t, readErr(server), os.ErrDeadlineExceeded, "until it is moved")

	require.NoError(t, server.SetReadDeadline(time.Time{}))
	write(t, client, "x")
	require.Equal(t, "x", read(t, server, 1))

	blocked := make(chan error, 1)
	go func() { blocked <- readErr(server) }()
	require.NoError(t, server.SetReadDeadline(p.Clock.Now().Add(-time.Second)), "a blocked call sees it, too")
	require.ErrorIs(t, <-blocked, os.ErrDeadlineExceeded)
	write(t, server, "writing is not concerned")
}

func testWriteDeadline(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, server := p.stream(t)
	require.NoError(t, client.SetWriteDeadline(p.Clock.Now().Add(100*time.Millisecond)))
	require.ErrorIs(t, p.in(t, func() error { return fill(client) }), os.ErrDeadlineExceeded)

	write(t, server, "reading is not concerned")
	read(t, client, len("reading is not concerned"))

	require.NoError(t, client.SetWriteDeadline(time.Time{}))
	go func() { _, _ = io.Copy(io.Discard, server) }()
	_, err := client.Write([]byte("x"))
	require.NoError(t, err)
}

// fill writes until that fails.
func fill(s transport.Stream) error {
	chunk := make([]byte, 64<<10)
	for {
		if _, err := s.Write(chunk); err != nil {
			return err
		}
	}
}

func testResetMidFrame(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, server := p.stream(t)
	frame := transport.AppendFrame(nil, []byte("whole"))
	write(t, client, string(frame)+string(frame[:6]))

	frames := transport.NewFrameReader(server, 100)
	got, err := frames.Read()
	require.NoError(t, err)
	require.Equal(t, "whole", string(got))
	client.Reset()
	_, err = frames.Read()
	require.ErrorIs(t, err, transport.ErrReset)
	p.eventually(t, func() bool {
		_, err := server.Write([]byte("x"))
		return err != nil
	}, "the other direction is reset, too")
	_, err = server.Write([]byte("x"))
	require.ErrorIs(t, err, transport.ErrReset)

	require.ErrorIs(t, readErr(client), transport.ErrReset)
	_, err = client.Write([]byte("x"))
	require.ErrorIs(t, err, transport.ErrReset)
	p.stream(t) // the connection does not mind
}

func testResetWakes(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, server := p.stream(t)
	calls := []func() error{
		func() error { return readErr(client) },
		func() error { return fill(client) },
		func() error { return fill(server) },
	}
	results := make(chan error, len(calls))
	for _, call := range calls {
		go func() { results <- call() }()
	}
	server.Reset()
	server.Reset()
	for range calls {
		require.ErrorIs(t, <-results, transport.ErrReset)
	}
}

func testResetUnseen(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{MaxStreams: 2})
	for range 10 {
		s, err := p.client.OpenStream(p.ctx, transport.PurposeBulk)
		require.NoError(t, err)
		s.Reset()
		_, err = s.Write([]byte("x"))
		require.ErrorIs(t, err, transport.ErrReset)
	}
	p.stream(t)
}

func testFrames(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, server := p.stream(t)
	sizes := []int{0, 1, 0, 0, 8 << 20, 0, 1 << 20, 100, 0}
	w := transport.NewFrameWriter(client, 1<<20)
	go func() {
		for i, size := range sizes {
			assert.NoError(t, w.Enqueue(p.ctx, bytes.Repeat([]byte{byte(i)}, size)))
		}
		assert.NoError(t, w.Close(p.ctx))
		assert.NoError(t, client.CloseWrite())
	}()
	frames := transport.NewFrameReader(server, 8<<20)
	for i, size := range sizes {
		got, err := frames.Read()
		require.NoError(t, err)
		require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(i)}, size), got), "frame %d", i)
	}
	_, err := frames.Read()
	require.Equal(t, io.EOF, err)
}

func testSlowReaders(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	const slow = 100
	var stuck []transport.Stream
	for range slow {
		client, _ := p.stream(t)
		require.NoError(t, client.SetWriteDeadline(p.Clock.Now().Add(300*time.Millisecond)))
		stuck = append(stuck, client)
	}
	for _, s := range stuck {
		require.ErrorIs(t, p.in(t, func() error { return fill(s) }), os.ErrDeadlineExceeded)
	}
	client, server := p.stream(t)
	go func() {
		_, err := client.Write(make([]byte, 1<<20))
		assert.NoError(t, err)
		assert.NoError(t, client.CloseWrite())
	}()
	n, err := io.Copy(io.Discard, server)
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, n)
}

// serveEcho answers each stream with what came, until the connection ends.
func serveEcho(ctx context.Context, conn transport.Conn) {
	for {
		s, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		go func() {
			if _, err := io.Copy(s, s); err == nil {
				_ = s.CloseWrite()
			}
		}()
	}
}

func testThousandsOfStreams(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	go serveEcho(p.ctx, p.server)
	const count = 3000
	streams := make([]transport.Stream, count)
	for i := range streams { // all are open at once
		s, err := p.client.OpenStream(p.ctx, transport.PurposeOps)
		require.NoError(t, err)
		_, err = s.Write(binary.BigEndian.AppendUint32(nil, uint32(i)))
		require.NoError(t, err)
		streams[i] = s
	}
	for _, s := range streams {
		require.NoError(t, s.CloseWrite())
	}
	for i, s := range streams {
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, binary.BigEndian.AppendUint32(nil, uint32(i)), got)
	}
}

func testConcurrentOpen(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	go serveEcho(p.ctx, p.server)
	go serveEcho(p.ctx, p.client)
	var group sync.WaitGroup
	for _, conn := range []transport.Conn{p.client, p.server} {
		for i := range 50 {
			group.Go(func() {
				s, err := conn.OpenStream(p.ctx, transport.PurposeOps)
				if !assert.NoError(t, err) {
					return
				}
				_, err = s.Write([]byte{byte(i)})
				assert.NoError(t, err)
				assert.NoError(t, s.CloseWrite())
				got, err := io.ReadAll(s)
				assert.NoError(t, err)
				assert.Equal(t, []byte{byte(i)}, got)
			})
		}
	}
	group.Wait()
}

func testStreamLimit(t *testing.T, factory Factory) {
	const limit = 3
	p := connect(t, factory, Settings{MaxStreams: limit})
	var clients, servers []transport.Stream
	for range limit {
		client, server := p.stream(t)
		clients, servers = append(clients, client), append(servers, server)
	}
	short, cancel := context.WithCancel(p.ctx)
	refused := make(chan error, 1)
	go func() {
		_, err := p.client.OpenStream(short, transport.PurposeOps)
		refused <- err
	}()
	cancel()
	require.ErrorIs(t, <-refused, context.Canceled)

	opened := make(chan error, 1)
	go func() {
		_, err := p.client.OpenStream(p.ctx, transport.PurposeOps)
		opened <- err
	}()
	require.NoError(t, clients[0].CloseWrite())
	require.NoError(t, servers[0].CloseWrite())
	require.Equal(t, io.EOF, readErr(servers[0]))
	require.Equal(t, io.EOF, readErr(clients[0]))
	require.NoError(t, <-opened, "a stream that is over makes room")

	clients[1].Reset()
	require.ErrorIs(t, readErr(servers[1]), transport.ErrReset)
	p.stream(t)
}

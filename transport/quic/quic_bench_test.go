package quic_test

import (
	"io"
	"sort"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"lockstep/transport"
	"lockstep/transport/quic"
)

// benchPair is one stream between two networks on loopback, both ends.
func benchPair(b *testing.B) (client, server transport.Stream) {
	b.Helper()
	home := newAuthority(b)
	ctx := b.Context()
	listener, err := newNetwork(b, quic.DefaultConfig(), quic.UDP, home.node(b, "n1")).Listen("127.0.0.1:0")
	require.NoError(b, err)
	conn, err := newNetwork(b, quic.DefaultConfig(), quic.UDP, home.client(b, "alice")).Dial(ctx, listener.Addr())
	require.NoError(b, err)
	accepted, err := listener.Accept(ctx)
	require.NoError(b, err)
	client, err = conn.OpenStream(ctx, transport.PurposeOps)
	require.NoError(b, err)
	_, err = client.Write([]byte("!"))
	require.NoError(b, err)
	server, err = accepted.AcceptStream(ctx)
	require.NoError(b, err)
	_, err = io.ReadFull(server, make([]byte, 1))
	require.NoError(b, err)
	return client, server
}

// BenchmarkQUICRoundTrip is what one small request and its answer cost when
// nothing else is under way: two one-way messages.
func BenchmarkQUICRoundTrip(b *testing.B) {
	client, server := benchPair(b)
	go func() { _, _ = io.CopyBuffer(server, server, make([]byte, 4096)) }()
	message := make([]byte, 100)
	clock := clockwork.NewRealClock()
	took := make([]float64, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		began := clock.Now()
		if _, err := client.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(client, message); err != nil {
			b.Fatal(err)
		}
		took = append(took, float64(clock.Since(began).Nanoseconds()))
	}
	sort.Float64s(took)
	b.ReportMetric(took[len(took)/2], "p50-ns")
	b.ReportMetric(took[len(took)*99/100], "p99-ns")
}

// BenchmarkQUICThroughputSmallMessages is what a small request and its answer
// cost when 64 are under way at a time and writes are gathered.
func BenchmarkQUICThroughputSmallMessages(b *testing.B) {
	client, server := benchPair(b)
	go echoFrames(server)
	const outstanding = 64
	requests := transport.NewFrameWriter(client, 1<<20)
	answers := transport.NewFrameReader(client, 1<<16)
	message := make([]byte, 60)
	for range outstanding {
		require.NoError(b, requests.TryEnqueue(message))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := answers.Read(); err != nil {
			b.Fatal(err)
		}
		if err := requests.TryEnqueue(message); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
}

func echoFrames(s transport.Stream) {
	in, out := transport.NewFrameReader(s, 1<<16), transport.NewFrameWriter(s, 1<<20)
	for {
		frame, err := in.Read()
		if err != nil {
			return
		}
		if out.TryEnqueue(frame) != nil {
			return
		}
	}
}

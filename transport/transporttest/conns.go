package transporttest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lockstep/transport"
)

func testPeer(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	require.Equal(t, "node/"+ServerNode, p.client.Peer().Principal)
	require.Equal(t, ServerNode, p.client.Peer().Node)
	require.NotEmpty(t, p.client.Peer().Address)
	require.Equal(t, ClientPrincipal, p.server.Peer().Principal)
	require.Empty(t, p.server.Peer().Node)
	require.NotEmpty(t, p.server.Peer().Address)
	require.NoError(t, p.client.Context().Err())
}

func testDialNobody(t *testing.T, factory Factory) {
	w := factory(t, Settings{Faults: true})
	err := w.in(t, func() error {
		_, err := w.Client.Dial(limited(t), w.Nowhere)
		return err
	})
	require.ErrorIs(t, err, transport.ErrUnreachable)
}

func testDialEnded(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	_, err := p.Client.Dial(ctx, p.listener.Addr())
	require.ErrorIs(t, err, context.Canceled)
}

func testDialBadAddress(t *testing.T, factory Factory) {
	w := factory(t, Settings{})
	_, err := w.Client.Dial(limited(t), w.BadAddress)
	require.ErrorIs(t, err, transport.ErrAddress)
	_, err = w.Server.Listen(w.BadAddress)
	require.ErrorIs(t, err, transport.ErrAddress)
}

func testDialByStranger(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	err := p.in(t, func() error {
		_, err := p.Stranger.Dial(p.ctx, p.listener.Addr())
		return err
	})
	require.ErrorIs(t, err, transport.ErrRefused)
	require.ErrorContains(t, err, "certificate")

	client, server := p.dial(t) // the next one accepted is not the stranger
	require.Equal(t, ClientPrincipal, server.Peer().Principal)
	require.NoError(t, client.Context().Err())
}

func testDialToStranger(t *testing.T, factory Factory) {
	w := factory(t, Settings{})
	listener, err := w.Stranger.Listen(w.StrangerAddress)
	require.NoError(t, err)
	defer listener.Close()
	err = w.in(t, func() error {
		_, err := w.Client.Dial(limited(t), listener.Addr())
		return err
	})
	require.ErrorIs(t, err, transport.ErrRefused)
	require.ErrorContains(t, err, "certificate")
}

func testDialSilent(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{Faults: true})
	p.Silence()
	err := p.in(t, func() error {
		_, err := p.Client.Dial(p.ctx, p.listener.Addr())
		return err
	})
	require.ErrorIs(t, err, transport.ErrUnreachable)
}

func testAddressInUse(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	_, err := p.Server.Listen(p.listener.Addr())
	require.ErrorIs(t, err, transport.ErrAddressInUse)
	require.ErrorContains(t, err, p.listener.Addr())
}

func testAcceptContext(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	_, err := p.listener.Accept(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = p.server.AcceptStream(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, p.server.Context().Err(), "the connection does not mind")
	p.stream(t)
}

func testAcceptAfterClose(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	waiting := make(chan error, 1)
	go func() {
		_, err := p.listener.Accept(p.ctx)
		waiting <- err
	}()
	require.NoError(t, p.listener.Close())
	require.ErrorIs(t, <-waiting, transport.ErrClosed)
	_, err := p.listener.Accept(p.ctx)
	require.ErrorIs(t, err, transport.ErrClosed)
	require.NoError(t, p.listener.Close(), "twice is fine")
}

func testListenerClose(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	require.NoError(t, p.listener.Close())
	require.ErrorIs(t, p.ended(t, p.server), transport.ErrClosed)
	require.ErrorIs(t, p.ended(t, p.client), transport.ErrClosed)

	again, err := p.Server.Listen(p.listener.Addr())
	require.NoError(t, err, "the address is free again")
	defer again.Close()
	p.listener = again
	p.client, p.server = p.dial(t)
	p.stream(t)
}

func testCloseReason(t *testing.T, factory Factory) {
	for _, c := range []struct{ name, reason, want string }{
		{"short", "leaving for lunch", "leaving for lunch"},
		{"empty", "", ""},
		{"long", strings.Repeat("x", 100_000), strings.Repeat("x", transport.MaxCloseReason)},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := connect(t, factory, Settings{})
			client, server := p.stream(t)
			require.NoError(t, p.client.Close(c.reason))

			for _, side := range []struct {
				conn   transport.Conn
				stream transport.Stream
				remote bool
			}{{p.client, client, false}, {p.server, server, true}} {
				cause := p.ended(t, side.conn)
				var closed *transport.CloseError
				require.ErrorAs(t, cause, &closed)
				require.Equal(t, transport.CloseError{Reason: c.want, Remote: side.remote}, *closed)

				_, err := side.conn.OpenStream(p.ctx, transport.PurposeOps)
				require.ErrorIs(t, err, transport.ErrClosed)
				_, err = side.conn.AcceptStream(p.ctx)
				require.ErrorIs(t, err, transport.ErrClosed)
				require.ErrorIs(t, readErr(side.stream), transport.ErrClosed)
				_, err = side.stream.Write([]byte("x"))
				require.ErrorIs(t, err, transport.ErrClosed)
			}
			require.NoError(t, p.client.Close("twice is fine"))
		})
	}
}

func testCloseWakes(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{})
	client, server := p.stream(t)
	calls := []func() error{
		func() error { return readErr(client) },
		func() error { return readErr(server) },
		func() error { _, err := p.client.AcceptStream(p.ctx); return err },
		func() error { _, err := p.server.AcceptStream(p.ctx); return err },
		func() error { return fill(client) },
	}
	results := make(chan error, len(calls))
	for _, call := range calls {
		go func() { results <- call() }()
	}
	require.NoError(t, p.server.Close("enough"))
	for range calls {
		require.ErrorIs(t, <-results, transport.ErrClosed)
	}
}

func testHalfOpen(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{Faults: true})
	client, server := p.stream(t)
	p.Silence()
	for _, side := range []struct {
		conn   transport.Conn
		stream transport.Stream
	}{{p.client, client}, {p.server, server}} {
		require.ErrorIs(t, p.ended(t, side.conn), transport.ErrLost)
		require.ErrorIs(t, readErr(side.stream), transport.ErrLost)
		_, err := side.conn.OpenStream(p.ctx, transport.PurposeOps)
		require.ErrorIs(t, err, transport.ErrLost)
	}
	p.Resume()
	p.client, p.server = p.dial(t)
	p.stream(t)
}

func testShortSilence(t *testing.T, factory Factory) {
	p := connect(t, factory, Settings{Faults: true})
	client, server := p.stream(t)
	p.Silence()
	write(t, client, "held back")
	p.Resume()
	var got string
	require.NoError(t, p.in(t, func() error {
		buf := make([]byte, len("held back"))
		n, err := server.Read(buf)
		got = string(buf[:n])
		return err
	}))
	require.Equal(t, "held back", got)
	require.NoError(t, p.client.Context().Err())
}

package quic

import (
	"context"
	"errors"
	"fmt"

	quicgo "github.com/quic-go/quic-go"

	"lockstep/transport"
	"lockstep/transport/certs"
)

// conn is a connection whose peer is verified.
type conn struct {
	quic   *quicgo.Conn
	peer   transport.Peer
	ctx    context.Context
	cancel context.CancelCauseFunc
	// incoming are streams whose purpose was read.
	incoming chan *stream
}

var _ transport.Conn = (*conn)(nil)

// newConn takes over a connection after the handshake.
func (n *Network) newConn(quicConn *quicgo.Conn) (*conn, error) {
	shown := quicConn.ConnectionState().TLS.PeerCertificates
	if len(shown) == 0 {
		return nil, certs.ErrNoCertificate
	}
	principal, node, err := certs.Identity(shown[0])
	if err != nil {
		return nil, err
	}
	c := &conn{
		quic: quicConn, incoming: make(chan *stream),
		peer: transport.Peer{Principal: principal, Node: node, Address: quicConn.RemoteAddr().String()},
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if !n.track(c) {
		return nil, fmt.Errorf("%w: network", transport.ErrClosed)
	}
	context.AfterFunc(quicConn.Context(), func() {
		c.cancel(connError(context.Cause(quicConn.Context())))
		n.untrack(c)
	})
	go c.accept()
	return c, nil
}

// OpenStream implements transport.Conn.
func (c *conn) OpenStream(ctx context.Context, purpose transport.Purpose) (transport.Stream, error) {
	quicStream, err := c.quic.OpenStreamSync(ctx)
	if err != nil {
		return nil, c.ended(ctx, err)
	}
	return &stream{quic: quicStream, purpose: purpose, unannounced: true}, nil
}

// AcceptStream implements transport.Conn.
func (c *conn) AcceptStream(ctx context.Context) (transport.Stream, error) {
	select {
	case <-c.ctx.Done():
		return nil, context.Cause(c.ctx)
	default:
	}
	select {
	case s := <-c.incoming:
		return s, nil
	case <-c.ctx.Done():
		return nil, context.Cause(c.ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Peer implements transport.Conn.
func (c *conn) Peer() transport.Peer { return c.peer }

// Context implements transport.Conn.
func (c *conn) Context() context.Context { return c.ctx }

// Close implements transport.Conn.
func (c *conn) Close(reason string) error {
	reason = transport.ClipReason(reason)
	if c.quic.Context().Err() == nil {
		c.cancel(&transport.CloseError{Reason: reason})
	}
	return c.quic.CloseWithError(codeClosed, reason)
}

// accept reads the purposes of incoming streams, each on its own: the first byte
// of one may be lost on the way while another is there.
func (c *conn) accept() {
	for {
		quicStream, err := c.quic.AcceptStream(context.Background())
		if err != nil {
			return
		}
		go c.announce(quicStream)
	}
}

func (c *conn) announce(quicStream *quicgo.Stream) {
	var purpose [1]byte
	if n, _ := quicStream.Read(purpose[:]); n == 0 {
		// Reset before it carried anything: it never was.
		quicStream.CancelRead(codeReset)
		quicStream.CancelWrite(codeReset)
		return
	}
	select {
	case c.incoming <- &stream{quic: quicStream, purpose: transport.Purpose(purpose[0])}:
	case <-c.ctx.Done():
	}
}

// ended tells why a call on the connection failed: its context, or the
// connection's end.
func (c *conn) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return context.Cause(ctx)
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return connError(err)
}

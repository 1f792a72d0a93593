package quic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	quicgo "github.com/quic-go/quic-go"

	"lockstep/transport"
	"lockstep/transport/certs"
)

// Codes that close a connection, beside the reason.
const (
	codeClosed  quicgo.ApplicationErrorCode = 0
	codeRefused quicgo.ApplicationErrorCode = 1
)

// codeReset is the code of every stream that is reset.
const codeReset quicgo.StreamErrorCode = 1

// errHandshakeTimeout is the cause of a Dial that nobody answered.
var errHandshakeTimeout = errors.New("no answer within the handshake timeout")

// connError says in the contract's terms why a connection ended.
func connError(err error) error {
	var closed *quicgo.ApplicationError
	if errors.As(err, &closed) {
		return &transport.CloseError{Reason: closed.ErrorMessage, Remote: closed.Remote}
	}
	var idle *quicgo.IdleTimeoutError
	if errors.As(err, &idle) {
		return fmt.Errorf("%w: the peer fell silent", transport.ErrLost)
	}
	var forgotten *quicgo.StatelessResetError
	if errors.As(err, &forgotten) {
		return fmt.Errorf("%w: the peer was restarted", transport.ErrLost)
	}
	if errors.Is(err, quicgo.ErrTransportClosed) {
		return &transport.CloseError{Reason: "network closed"}
	}
	return fmt.Errorf("%w: %w", transport.ErrLost, err)
}

// streamError says in the contract's terms why a call on a stream failed.
func streamError(operation string, err error) error {
	var reset *quicgo.StreamError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.As(err, &reset):
		if reset.Remote {
			return fmt.Errorf("%w by the peer", transport.ErrReset)
		}
		return fmt.Errorf("%w here", transport.ErrReset)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("transport: %s: %w", operation, os.ErrDeadlineExceeded)
	case errors.Is(err, quicgo.ErrStreamClosed):
		return fmt.Errorf("%w: write after CloseWrite", transport.ErrClosed)
	}
	return connError(err)
}

// dialError says in the contract's terms why nobody could be reached.
func dialError(ctx context.Context, address string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("transport: dial %s: %w", address, context.Cause(ctx))
	}
	var refused *quicgo.TransportError
	if errors.As(err, &refused) {
		switch {
		case refused.ErrorCode.IsCryptoError() && refused.Remote:
			return fmt.Errorf("%w: %s does not accept our certificate or protocol: %s",
				transport.ErrRefused, address, refused.ErrorCode.Message())
		case refused.ErrorCode.IsCryptoError():
			return fmt.Errorf("%w: %s: %w", transport.ErrRefused, address, certificateError(refused))
		case refused.ErrorCode == quicgo.ConnectionRefused:
			return fmt.Errorf("%w: %s: too busy, or closing", transport.ErrRefused, address)
		}
	}
	var closed *quicgo.ApplicationError
	if errors.As(err, &closed) {
		return fmt.Errorf("%w: %s: %s", transport.ErrRefused, address, closed.ErrorMessage)
	}
	var version *quicgo.VersionNegotiationError
	if errors.As(err, &version) {
		return fmt.Errorf("%w: %s: %w", transport.ErrRefused, address, err)
	}
	if errors.Is(err, quicgo.ErrTransportClosed) {
		return fmt.Errorf("%w: network", transport.ErrClosed)
	}
	return fmt.Errorf("%w: %s: %w", transport.ErrUnreachable, address, err)
}

// certificateError finds what package certs said in what TLS made of it.
func certificateError(err error) error {
	for _, known := range []error{
		certs.ErrStranger, certs.ErrExpired, certs.ErrKind, certs.ErrNoIdentity, certs.ErrNoCertificate,
	} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w (%w)", known, err)
		}
	}
	return err
}

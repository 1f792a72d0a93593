package quic

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	quicgo "github.com/quic-go/quic-go"

	"lockstep/transport"
)

// greeting is what the accepting side says once it believes the dialer.
const greeting = 1

// Dial implements transport.Network. Each address of a name is tried, IPv4 ones
// first, since most nodes listen there.
func (n *Network) Dial(ctx context.Context, address string) (transport.Conn, error) {
	host, port, err := splitAddress(address)
	if err != nil {
		return nil, err
	}
	if host == "" || port == 0 {
		return nil, fmt.Errorf("%w: %q names nobody", transport.ErrAddress, address)
	}
	if ctx.Err() != nil {
		return nil, dialError(ctx, address, ctx.Err())
	}
	ips, err := resolve(ctx, host)
	if err != nil {
		return nil, dialError(ctx, address, err)
	}
	from, err := n.dialSocket()
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		var c *conn
		c, err = n.dialOne(ctx, from, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, dialError(ctx, address, err)
}

func (n *Network) dialOne(ctx context.Context, from *socket, to *net.UDPAddr) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.HandshakeTimeout, errHandshakeTimeout)
	defer cancel()
	quicConn, err := from.quic.Dial(ctx, to, n.deps.Credentials().ClientTLS(Protocol), n.cfg.quic())
	if err != nil {
		return nil, err
	}
	if err := awaitGreeting(ctx, quicConn); err != nil {
		_ = quicConn.CloseWithError(codeClosed, "dial given up")
		return nil, err
	}
	c, err := n.newConn(quicConn)
	if err != nil {
		_ = quicConn.CloseWithError(codeRefused, err.Error())
		return nil, err
	}
	return c, nil
}

func awaitGreeting(ctx context.Context, quicConn *quicgo.Conn) error {
	stream, err := quicConn.AcceptUniStream(ctx)
	if err != nil {
		return causeOf(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { stream.CancelRead(codeReset) })
	defer stop()
	var got [1]byte
	if n, err := stream.Read(got[:]); n == 0 {
		return causeOf(ctx, err)
	}
	if got[0] != greeting {
		return fmt.Errorf("greeted with %d instead of %d", got[0], greeting)
	}
	return nil
}

func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return slices.Compact(ips), nil
}

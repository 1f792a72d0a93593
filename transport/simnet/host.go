package simnet

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"lockstep/transport"
)

var _ transport.Network = (*Host)(nil)

// Identity is who lives on a host, as its certificate would say.
type Identity struct {
	// Principal is the name in the certificate; not empty.
	Principal string
	// Node is the node id, or "" for anybody but a cluster node.
	Node string
	// Stranger is true when the certificate is not from the cluster's authority:
	// others refuse it, and it refuses others.
	Stranger bool
}

// AsNode is the identity of a cluster node.
func AsNode(id string) Identity { return Identity{Principal: "node/" + id, Node: id} }

// AsClient is the identity of a client.
func AsClient(principal string) Identity { return Identity{Principal: principal} }

// AsStranger is the identity of somebody with a certificate from elsewhere.
func AsStranger(principal string) Identity { return Identity{Principal: principal, Stranger: true} }

// Host is one machine of the network.
type Host struct {
	net  *Net
	name string
	who  Identity
	// Guarded by net.mu.
	listeners map[string]*listener
	lastPort  int
}

// Name is the host's name, the part of its addresses before the colon.
func (h *Host) Name() string { return h.name }

// Listen implements transport.Network. An address is NAME:PORT with the host's
// own name or none, and any word as port; 0 or none asks for a free one.
func (h *Host) Listen(address string) (transport.Listener, error) {
	host, port, _ := strings.Cut(address, ":")
	if host != "" && host != h.name {
		return nil, fmt.Errorf("%w: listen on %q at host %s", transport.ErrAddress, address, h.name)
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if port == "" || port == "0" {
		port = h.freePort()
	}
	if _, taken := h.listeners[port]; taken {
		return nil, fmt.Errorf("%w: %s:%s", transport.ErrAddressInUse, h.name, port)
	}
	l := &listener{host: h, port: port}
	h.listeners[port] = l
	return l, nil
}

func (h *Host) freePort() string {
	for {
		h.lastPort++
		port := strconv.Itoa(h.lastPort)
		if _, taken := h.listeners[port]; !taken {
			return port
		}
	}
}

// Dial implements transport.Network.
func (h *Host) Dial(ctx context.Context, address string) (transport.Conn, error) {
	host, port, found := strings.Cut(address, ":")
	if !found || host == "" || port == "" {
		return nil, fmt.Errorf("%w: %q is not NAME:PORT", transport.ErrAddress, address)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("transport: dial %s: %w", address, err)
	}
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	peer, known := n.hosts[host]
	if !known {
		return nil, fmt.Errorf("%w: %s: no such host", transport.ErrUnreachable, address)
	}
	s := n.connect(h, peer, port)
	deadline := n.clocks.Mono.Now().Add(n.cfg.HandshakeTimeout)
	for {
		switch {
		case s.err != nil:
			return nil, s.err
		case s.established && peer.who.Stranger:
			err := fmt.Errorf("%w: %s has a certificate of a stranger, %s", transport.ErrRefused, address, peer.who.Principal)
			s.close(err, "certificate of a stranger")
			return nil, err
		case s.established:
			return s, nil
		case ctx.Err() != nil:
			err := fmt.Errorf("transport: dial %s: %w", address, context.Cause(ctx))
			s.abandon(err)
			return nil, err
		case n.passed(deadline):
			err := fmt.Errorf("%w: %s: no answer within %v", transport.ErrUnreachable, address, n.cfg.HandshakeTimeout)
			s.abandon(err)
			return nil, err
		}
		n.wait(&s.changed, ctx.Done(), deadline)
	}
}

// listener hands out the connections to one port of a host.
type listener struct {
	host *Host
	port string
	// Guarded by net.mu.
	backlog  []*side
	accepted []*side
	closed   bool
	changed  signal
}

var _ transport.Listener = (*listener)(nil)

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, fmt.Errorf("%w: listener of %s", transport.ErrClosed, l.Addr())
		case len(l.backlog) > 0:
			s := l.backlog[0]
			l.backlog = l.backlog[1:]
			if s.err != nil {
				continue // the dialer has gone again
			}
			l.accepted = append(l.living(), s)
			return s, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		n.wait(&l.changed, ctx.Done(), noDeadline)
	}
}

// Addr implements transport.Listener.
func (l *listener) Addr() string { return l.host.name + ":" + l.port }

// Close implements transport.Listener.
func (l *listener) Close() error {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range append(l.living(), l.backlog...) {
		s.closeFor("listener closed")
	}
	l.shut()
	return nil
}

// shut takes the listener off its port.
func (l *listener) shut() {
	if l.host.listeners[l.port] == l {
		delete(l.host.listeners, l.port)
	}
	l.closed, l.accepted, l.backlog = true, nil, nil
	l.changed.fire()
}

// living is the accepted connections that have not ended.
func (l *listener) living() []*side {
	living := l.accepted[:0]
	for _, s := range l.accepted {
		if s.err == nil {
			living = append(living, s)
		}
	}
	return living
}

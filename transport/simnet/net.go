package simnet

import (
	"fmt"
	"sync"
	"time"

	"lockstep/transport/clocks"
)

// Net is a network of hosts. All methods may be called from any goroutine.
type Net struct {
	clocks clocks.Clocks
	cfg    Config

	// mu guards everything below and every host, connection and stream: one lock,
	// so that a fault strikes the whole network at one instant.
	mu    sync.Mutex
	hosts map[string]*Host
	links map[direction]*link
	conns []*conn
}

// direction is the way from one host to another.
type direction struct{ from, to string }

type link struct {
	cut     bool
	latency time.Duration
}

// New makes a network without hosts on the given clocks; it reads only Mono. A
// configuration that is not valid is a bug and panics.
func New(c clocks.Clocks, cfg Config) *Net {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	return &Net{clocks: c, cfg: cfg, hosts: map[string]*Host{}, links: map[direction]*link{}}
}

// Host adds a host, which is a transport.Network for whoever lives on it. The
// name must be new: a restarted process keeps its host and closes its listener.
func (n *Net) Host(name string, who Identity) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, taken := n.hosts[name]; taken || name == "" {
		panic(fmt.Sprintf("simnet: host name %q is taken or empty", name))
	}
	h := &Host{net: n, name: name, who: who, listeners: map[string]*listener{}}
	n.hosts[name] = h
	return h
}

// link is the way from one host to another; callers hold mu.
func (n *Net) link(from, to string) *link {
	way := direction{from, to}
	l, known := n.links[way]
	if !known {
		l = &link{latency: n.cfg.Latency}
		n.links[way] = l
	}
	return l
}

// forget removes an ended connection; callers hold mu.
func (n *Net) forget(gone *conn) {
	for i, c := range n.conns {
		if c == gone {
			n.conns = append(n.conns[:i], n.conns[i+1:]...)
			return
		}
	}
}

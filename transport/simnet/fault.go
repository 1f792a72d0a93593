package simnet

import (
	"fmt"
	"time"

	"lockstep/transport"
)

// PartitionOneWay holds back everything from one host to another, until Heal.
// The receiving side of a connection loses it after the idle timeout; since it
// then falls silent itself, the sending side follows an idle timeout later.
func (n *Net) PartitionOneWay(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut(from, to)
}

// Partition holds back everything between two hosts, in both directions, until
// Heal. Both sides of a connection lose it after the idle timeout.
func (n *Net) Partition(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut(a, b)
	n.cut(b, a)
}

// Heal lets bytes pass between two hosts again, in both directions. What was
// held back arrives, in order, on connections that are not lost yet.
func (n *Net) Heal(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.join(a, b)
	n.join(b, a)
}

// HealAll ends every partition.
func (n *Net) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for way := range n.links {
		n.link(way.from, way.to).cut = false
	}
	n.resume()
}

// CutConnections ends every connection between two hosts at once, on both sides,
// and returns how many there were. Both sides see transport.ErrLost.
func (n *Net) CutConnections(a, b string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	cut := 0
	for _, c := range n.between(a, b) {
		cut++
		err := fmt.Errorf("%w: cut between %s and %s", transport.ErrLost, c.dialer.host, c.listener.host)
		c.dialer.end(err)
		c.listener.end(err)
	}
	return cut
}

// Crash makes a host vanish as a process killed at once does: its listeners and
// its sides of connections end with transport.ErrLost and send nothing, so that
// its peers notice after the idle timeout. It may listen again afterwards.
func (n *Net) Crash(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h, known := n.hosts[host]; known {
		for _, l := range h.listeners {
			l.shut()
		}
	}
	err := fmt.Errorf("%w: %s crashed", transport.ErrLost, host)
	for _, c := range append([]*conn(nil), n.conns...) {
		for _, side := range []*side{c.dialer, c.listener} {
			if side.host == host {
				side.end(err)
			}
		}
	}
}

// SetLatency says how long bytes take from one host to another from now on.
// Bytes under way keep their time, and later ones do not overtake them.
func (n *Net) SetLatency(from, to string, latency time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link(from, to).latency = max(latency, 0)
}

// Connections is how many connections between two hosts neither side has lost.
func (n *Net) Connections(a, b string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.between(a, b))
}

func (n *Net) cut(from, to string) {
	n.link(from, to).cut = true
	for _, c := range n.conns {
		c.dialer.watchSilence()
		c.listener.watchSilence()
	}
}

func (n *Net) join(from, to string) {
	n.link(from, to).cut = false
	n.resume()
}

// resume delivers what was held back and is not any more.
func (n *Net) resume() {
	for _, c := range append([]*conn(nil), n.conns...) {
		c.dialer.watchSilence()
		c.listener.watchSilence()
		c.dialer.pump()
		c.listener.pump()
	}
}

func (n *Net) between(a, b string) []*conn {
	var found []*conn
	for _, c := range n.conns {
		d, l := c.dialer.host, c.listener.host
		if c.dialer.err == nil && c.listener.err == nil && (d == a && l == b || d == b && l == a) {
			found = append(found, c)
		}
	}
	return found
}

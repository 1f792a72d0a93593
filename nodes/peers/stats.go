package peers

import (
	"maps"
	"sync/atomic"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// Stats is a picture of a Manager; it is not taken at one instant.
type Stats struct {
	// Connections and Streams are being served now, whoever opened them.
	Connections, Streams int64
	// Accepted counts connections that others opened.
	Accepted uint64
	// Refused counts streams that were answered with a problem, by its code.
	Refused map[lockstepv1.Code]uint64
	// Dials counts attempts to connect to nodes, DialFailures those that failed,
	// Opened streams that were opened to nodes.
	Dials, DialFailures, Opened uint64
	// Connected tells for each node that is known whether it is connected.
	Connected map[string]bool
}

type counters struct {
	connections, streams                 atomic.Int64
	accepted, dials, dialFailures, opens atomic.Uint64
}

// Stats returns the counters.
func (m *Manager) Stats() Stats {
	stats := Stats{
		Connections:  m.counts.connections.Load(),
		Streams:      m.counts.streams.Load(),
		Accepted:     m.counts.accepted.Load(),
		Dials:        m.counts.dials.Load(),
		DialFailures: m.counts.dialFailures.Load(),
		Opened:       m.counts.opens.Load(),
		Connected:    make(map[string]bool),
	}
	m.mu.Lock()
	links := maps.Clone(m.links)
	m.mu.Unlock()
	for node, l := range links {
		stats.Connected[node] = l.current() != nil
	}
	stats.Refused = m.refusals.snapshot()
	return stats
}

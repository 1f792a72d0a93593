package bench

import (
	"errors"
	"fmt"
	"time"

	"lockstep/client"
)

// Limits of a measurement.
const (
	// MaxClients bounds the sessions of one row.
	MaxClients = 100_000
	// MaxRuns bounds how often a row is repeated.
	MaxRuns = 100
)

// Config says what to measure.
type Config struct {
	// Rows are measured in turn, each Runs times; the medians are reported.
	Rows []Row
	// Runs is how often each row is measured, 1 to MaxRuns.
	Runs int
	// Warmup runs before each measurement and is not counted; 0: none.
	Warmup time.Duration
	// Duration of one measurement; positive.
	Duration time.Duration
	// Prefix is the path below which the locks are taken.
	Prefix string
	// TTL of the sessions.
	TTL time.Duration
}

// Row is one line of the table.
type Row struct {
	// Clients is how many sessions acquire and release at the same time.
	Clients int
	// Connections the sessions share; 0: one for each.
	Connections int
	// Locks is how many locks they contend for; 0: each has one of its own.
	Locks int
}

// DefaultConfig measures 1, 16, 64 and 256 clients over at most 4 connections,
// then the same with a connection each.
func DefaultConfig() Config {
	return Config{
		Rows:     Rows([]int{1, 16, 64, 256}, 4, 0),
		Runs:     3,
		Warmup:   time.Second,
		Duration: 3 * time.Second,
		Prefix:   "/bench",
		TTL:      30 * time.Second,
	}
}

// Rows makes a row for each number of clients, with at most so many connections.
func Rows(clients []int, connections, locks int) []Row {
	rows := make([]Row, 0, len(clients))
	for _, n := range clients {
		rows = append(rows, Row{Clients: n, Connections: min(n, connections), Locks: locks})
	}
	return rows
}

// Validate refuses what makes no sense.
func (c Config) Validate() error {
	if len(c.Rows) == 0 {
		return errors.New("bench: no number of clients to measure")
	}
	for _, r := range c.Rows {
		if r.Clients < 1 || r.Clients > MaxClients {
			return fmt.Errorf("bench: %d clients, not within 1 to %d", r.Clients, MaxClients)
		}
		if r.connections() > r.Clients || r.connectionsEach() > client.MaxConnections {
			return fmt.Errorf("bench: %d connections for %d clients", r.Connections, r.Clients)
		}
		if r.Locks < 0 {
			return fmt.Errorf("bench: %d locks, negative", r.Locks)
		}
	}
	if c.Runs < 1 || c.Runs > MaxRuns {
		return fmt.Errorf("bench: %d runs, not within 1 to %d", c.Runs, MaxRuns)
	}
	if c.Duration <= 0 || c.Warmup < 0 {
		return fmt.Errorf("bench: duration %v and warm-up %v: need more than 0 and at least 0", c.Duration, c.Warmup)
	}
	return nil
}

func (r Row) connections() int {
	if r.Connections == 0 {
		return r.Clients
	}
	return r.Connections
}

// connectionsEach is how many connections one client.Client opens for the row.
func (r Row) connectionsEach() int {
	if r.Connections == 0 {
		return 1
	}
	return r.Connections
}

package peers

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
	"lockstep/transport/clocks"
)

// Config is what a Manager needs to know. Start from DefaultConfig.
type Config struct {
	// Node is this node's id: what its certificate says.
	Node string
	// Cluster is the cluster's id.
	Cluster string
	// Lineage is the lineage of the node's data; never 0.
	Lineage uint64
	// Agent is program and version, for the logs of others; may be empty.
	Agent string
	// HelloTimeout is how long the opener of a stream may take to say who it is.
	HelloTimeout time.Duration
	// DialTimeout bounds one attempt to connect to a node.
	DialTimeout time.Duration
	// DialGrace is how long the node with the higher id waits for the other one
	// to connect before it dials itself.
	DialGrace time.Duration
	// BackoffMin and BackoffMax bound the pause between attempts, which doubles
	// with each failure; the real pause is between half of it and all of it.
	BackoffMin, BackoffMax time.Duration
	// MaxStreams is how many streams of one connection are served at once.
	MaxStreams int
	// MaxConnections is how many accepted connections are served at once.
	MaxConnections int
}

// DefaultConfig returns a Config in which Node, Cluster and Lineage are missing.
func DefaultConfig() Config {
	return Config{
		HelloTimeout:   5 * time.Second,
		DialTimeout:    2 * time.Second,
		DialGrace:      500 * time.Millisecond,
		BackoffMin:     20 * time.Millisecond,
		BackoffMax:     time.Second,
		MaxStreams:     4096,
		MaxConnections: 16384,
	}
}

// Validate says which field makes no sense, and why.
func (c Config) Validate() error {
	var problems []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("peers: "+format, args...))
		}
	}
	refuse(c.Node == "", "Node is empty")
	refuse(c.Cluster == "", "Cluster is empty")
	refuse(c.Lineage == 0, "Lineage is 0")
	refuse(c.HelloTimeout <= 0, "HelloTimeout %v is not positive", c.HelloTimeout)
	refuse(c.DialTimeout <= 0, "DialTimeout %v is not positive", c.DialTimeout)
	refuse(c.DialGrace < 0, "DialGrace %v is negative", c.DialGrace)
	refuse(c.BackoffMin <= 0, "BackoffMin %v is not positive", c.BackoffMin)
	refuse(c.BackoffMax < c.BackoffMin, "BackoffMax %v is below BackoffMin %v", c.BackoffMax, c.BackoffMin)
	refuse(c.MaxStreams < 1, "MaxStreams %d is below 1", c.MaxStreams)
	refuse(c.MaxConnections < 1, "MaxConnections %d is below 1", c.MaxConnections)
	return errors.Join(problems...)
}

// Deps is what a Manager is given; all fields are required.
type Deps struct {
	Network transport.Network
	Clocks  clocks.Clocks
	// Rand jitters the pauses between dials; the Manager alone uses it.
	Rand   *rand.Rand
	Logger *slog.Logger
	// Welcome fills leader and members of a Welcome; the Manager adds the rest. It
	// may be called from any goroutine.
	Welcome func() *lockstepv1.Welcome
}

package client

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"lockstep/transport"
	"lockstep/transport/clocks"
)

// Config says which cluster to talk to and how patiently.
type Config struct {
	// Endpoints are addresses of some of the cluster's nodes, at least one. The
	// others are learned.
	Endpoints []string
	// Cluster is the name of the cluster that is meant; empty: whichever answers
	// first.
	Cluster string
	// Agent is the program and its version, for the nodes' logs. May be empty.
	Agent string
	// Connections is over how many connections the sessions are spread, 1 to
	// MaxConnections.
	Connections int
	// DialTimeout bounds one attempt to connect; more than 0.
	DialTimeout time.Duration
	// RequestTimeout is how long a request may go without an answer before its
	// caller is told ErrUnavailable or ErrOutcomeUnknown; 0: for as long as the
	// caller's context. Waiting in a queue is an answer and is not bounded by it.
	RequestTimeout time.Duration
	// SilenceTimeout is how long a node may leave requests unanswered before
	// another node is tried; more than 0. Nodes say that there is no quorum within
	// 750 ms, so that a second tells a dead one. With a heartbeat's interval and an
	// election it must stay well below the belief that a session begins with, or
	// every leader that dies costs its clients their locks.
	SilenceTimeout time.Duration
	// BackoffMin and BackoffMax bound the pauses between attempts: the n-th pause
	// is drawn evenly from 0 to BackoffMin * 2^n, at most BackoffMax.
	BackoffMin time.Duration
	BackoffMax time.Duration
}

// DefaultConfig is the configuration for a cluster that has a node at each of
// the endpoints.
func DefaultConfig(endpoints ...string) Config {
	return Config{
		Endpoints:      endpoints,
		Connections:    1,
		DialTimeout:    3 * time.Second,
		RequestTimeout: 10 * time.Second,
		SilenceTimeout: time.Second,
		BackoffMin:     20 * time.Millisecond,
		BackoffMax:     2 * time.Second,
	}
}

// Validate tells what is wrong with the configuration, all at once.
func (c Config) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
	}
	if len(c.Endpoints) == 0 {
		refuse("Endpoints is empty: name at least one node of the cluster")
	}
	for i, e := range c.Endpoints {
		if e == "" {
			refuse("Endpoints[%d] is empty", i)
		}
	}
	if c.Connections < 1 || c.Connections > MaxConnections {
		refuse("Connections is %d, not within 1 to %d", c.Connections, MaxConnections)
	}
	if c.DialTimeout <= 0 {
		refuse("DialTimeout is %v, not positive", c.DialTimeout)
	}
	if c.RequestTimeout < 0 {
		refuse("RequestTimeout is %v, negative", c.RequestTimeout)
	}
	if c.SilenceTimeout <= 0 {
		refuse("SilenceTimeout is %v, not positive", c.SilenceTimeout)
	}
	if c.BackoffMin <= 0 || c.BackoffMax < c.BackoffMin {
		refuse("BackoffMin %v and BackoffMax %v: need 0 < BackoffMin <= BackoffMax", c.BackoffMin, c.BackoffMax)
	}
	return errors.Join(errs...)
}

// Deps are what the client needs from its surroundings.
type Deps struct {
	// Network reaches the nodes.
	Network transport.Network
	// Clocks are this process's clocks; belief is counted on them.
	Clocks clocks.Clocks
	// Rand draws session secrets and jitter. Whoever can guess it can steal
	// sessions: in production its source must be cryptographic. The client takes
	// care of concurrent use, so nobody else may use it meanwhile.
	Rand *rand.Rand
	// Logger takes what an operator may want to know; nil: nothing is logged.
	Logger *slog.Logger
	// Closed is called once, when the client has been closed and uses none of the
	// others any more; nil: nobody wants to know.
	Closed func()
}

func (d Deps) validate() error {
	var errs []error
	if d.Network == nil {
		errs = append(errs, fmt.Errorf("%w: Deps.Network is missing", ErrInvalid))
	}
	if d.Clocks.Mono == nil || d.Clocks.Boot == nil || d.Clocks.Wall == nil {
		errs = append(errs, fmt.Errorf("%w: Deps.Clocks needs all three clocks", ErrInvalid))
	}
	if d.Rand == nil {
		errs = append(errs, fmt.Errorf("%w: Deps.Rand is missing", ErrInvalid))
	}
	return errors.Join(errs...)
}

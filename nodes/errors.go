package nodes

import "errors"

var (
	// ErrAtOnce, as the cause that ends Run's context, stops the node without
	// handing leadership over or waiting for anything, as if it had been killed.
	ErrAtOnce = errors.New("nodes: stopped at once")
	// ErrNoLeader is returned by Ready while no leader is known.
	ErrNoLeader = errors.New("nodes: no leader is known")
	// ErrStopping is returned by Ready and Healthy when the node stops or has
	// stopped, or does not run yet.
	ErrStopping = errors.New("nodes: not running")
)

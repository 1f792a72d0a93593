package engine

import "fmt"

// Config is what an engine is made with.
type Config struct {
	// Lineage of the cluster, from 1. In Restore, 0 takes the snapshot's.
	Lineage uint64
	// Limits, equal on all replicas. In Restore, the zero Limits take the
	// snapshot's.
	Limits Limits
}

// DefaultConfig has the default limits.
func DefaultConfig(lineage uint64) Config {
	return Config{Lineage: lineage, Limits: DefaultLimits()}
}

// Validate returns ErrConfig, wrapped, naming the first bad field.
func (c Config) Validate() error {
	if c.Lineage == 0 {
		return fmt.Errorf("%w: lineage is 0: lineages count from 1", ErrConfig)
	}
	return c.Limits.Validate()
}

// Counts says how much a state holds.
type Counts struct {
	Sessions uint64
	// Locks that are held, waited for or closed.
	Locks   uint64
	Grants  uint64
	Waiters uint64
}

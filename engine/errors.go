package engine

import "errors"

var (
	// ErrVersion is returned by DecodeBatch and Restore for bytes of a version, or
	// a command of a kind, that this program does not know: a newer one wrote
	// them. The node must stop; it cannot follow the log.
	ErrVersion = errors.New("engine: written by a newer version: upgrade this node")

	// ErrCorrupt is returned by DecodeBatch and Restore for bytes that no engine
	// wrote. The node must stop; its log or snapshot is damaged.
	ErrCorrupt = errors.New("engine: damaged bytes")

	// ErrLineage is returned by Restore for a snapshot of another lineage than
	// the configuration names.
	ErrLineage = errors.New("engine: snapshot of another lineage")

	// ErrLimits is returned by Restore for a snapshot written under other limits
	// than the configuration names: replicas with different limits diverge.
	ErrLimits = errors.New("engine: snapshot written under other limits")

	// ErrPath is returned by CheckPath, wrapped with what is wrong.
	ErrPath = errors.New("engine: not a lock's path")

	// ErrConfig is returned by Config.Validate, wrapped with the field.
	ErrConfig = errors.New("engine: configuration")

	// ErrInvariant is returned by Engine.CheckInvariants, wrapped with the
	// invariant's name and the numbers.
	ErrInvariant = errors.New("engine: invariant violated")
)

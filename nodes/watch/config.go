package watch

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds history and watchers. Start from DefaultConfig.
type Config struct {
	// Events and Bytes bound the history kept in memory, whichever is reached first.
	Events, Bytes int
	// Watches is how many watches one stream may carry.
	Watches int
	// FrameEvents is how many events one frame carries at most, ListingLocks how
	// many locks one frame of a listing.
	FrameEvents, ListingLocks int
	// Progress is how often a watch that nothing happens to is told how far it is.
	Progress time.Duration
	// WriteTimeout is how long a watcher may leave a frame unread before its stream
	// is reset.
	WriteTimeout time.Duration
}

// DefaultConfig keeps 65,536 events or 32 MiB.
func DefaultConfig() Config {
	return Config{
		Events: 65536, Bytes: 32 << 20, Watches: 1024,
		FrameEvents: 256, ListingLocks: 256,
		Progress: time.Second, WriteTimeout: 30 * time.Second,
	}
}

// Validate says which field makes no sense, and why.
func (c Config) Validate() error {
	var problems []error
	for _, f := range [...]struct {
		name       string
		value, top int
	}{
		{"Events", c.Events, 1 << 24},
		{"Bytes", c.Bytes, 1 << 32},
		{"Watches", c.Watches, 1 << 20},
		{"FrameEvents", c.FrameEvents, maxFrameItems},
		{"ListingLocks", c.ListingLocks, maxFrameItems},
	} {
		if f.value < 1 || f.value > f.top {
			problems = append(problems, fmt.Errorf("watch: %s %d is not within 1..%d", f.name, f.value, f.top))
		}
	}
	if c.Progress <= 0 {
		problems = append(problems, fmt.Errorf("watch: Progress %v is not positive", c.Progress))
	}
	if c.WriteTimeout <= 0 {
		problems = append(problems, fmt.Errorf("watch: WriteTimeout %v is not positive", c.WriteTimeout))
	}
	return errors.Join(problems...)
}

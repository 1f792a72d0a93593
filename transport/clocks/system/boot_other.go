//go:build !linux

package system

import (
	"time"

	"github.com/jonboulle/clockwork"
)

func bootReader(mono clockwork.Clock) func() time.Duration { return sinceStart(mono) }

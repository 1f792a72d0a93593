package system_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lockstep/transport/clocks/system"
)

func TestClocks(t *testing.T) {
	clocks := system.Clocks()
	mono, boot, wall := clocks.Mono.Now(), clocks.Boot(), clocks.Wall()

	require.Eventually(t, func() bool { return clocks.Mono.Since(mono) >= 5*time.Millisecond }, time.Second, time.Millisecond)

	require.GreaterOrEqual(t, clocks.Boot()-boot, 4*time.Millisecond, "boot time passes like mono time")
	require.Less(t, clocks.Boot()-boot, time.Minute)
	require.NotEmpty(t, mono.Sub(mono.Round(0)).String())
	require.Equal(t, wall, wall.Round(0), "a wall reading carries no monotonic one, so that differences show jumps")
}

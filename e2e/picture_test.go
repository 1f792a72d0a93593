//go:build unix

package e2e

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lockstep"
	"lockstep/e2e/harness"
)

// state is everything that must survive a restart.
type state struct {
	Locks     []lockstep.LockInfo
	Waiters   []lockstep.WaiterInfo
	Sessions  []lockstep.SessionInfo
	LastToken lockstep.Token
}

// picture reads the state, linearizably, without what moves with time alone.
func picture(t *testing.T, c *lockstep.Client) state {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var s state
	for l, err := range c.ListLocks(ctx, "/") {
		require.NoError(t, err)
		l.Now = 0
		s.Locks = append(s.Locks, l)
		s.LastToken = max(s.LastToken, l.LastToken)
	}
	for w, err := range c.ListWaiters(ctx, "/") {
		require.NoError(t, err)
		s.Waiters = append(s.Waiters, w)
	}
	for i, err := range c.ListSessions(ctx) {
		require.NoError(t, err)
		i.State, i.Silence = 0, 0
		s.Sessions = append(s.Sessions, i)
	}
	return s
}

// killOnly kills a node with -9 and does not wait for its end.
func killOnly(n *harness.Node) error { return syscall.Kill(n.Process.Pid(), syscall.SIGKILL) }

func contains(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/client"
	"lockstep/e2e/harness"
)

// A disk fills up under a running node: it halts before it acknowledges what it
// cannot store, says what to do, and goes on from there when there is room.
func TestFullDiskHaltsTheNode(t *testing.T) {
	var small string
	c := harness.StartCluster(t, harness.Options{
		Serve: []string{"--disk-segment-size", "64KiB", "--disk-min-free", "256KiB"},
		Before: func(c *harness.Cluster) {
			small = filepath.Join(c.Data, "n1", "data")
			require.NoError(t, os.MkdirAll(small, 0o700))
			if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=8m"); err != nil {
				t.Skipf("a small disk cannot be mounted here: %v", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) })
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl := c.Client(t)
	session, err := cl.NewSession(ctx, client.TTL(time.Minute))
	require.NoError(t, err)
	lock := session.Lock("/e2e/disk")
	pair := func() {
		g, err := lock.Acquire(ctx)
		require.NoError(t, err)
		require.NoError(t, g.Release(ctx))
	}
	pair()
	filler := fill(t, small)

	n1 := c.Nodes[0]
	for !n1.Process.Ended() {
		pair() // the others go on
	}
	assert.Equal(t, 73, n1.Process.Wait(t), n1.Process.Output())
	assert.Contains(t, n1.Process.Output(), "make room on the disk, then start the node again")
	pair()

	n1.Start(t)
	assert.Equal(t, 73, n1.Process.Wait(t), "it does not start without room")
	require.NoError(t, os.Remove(filler))
	n1.Start(t)
	c.WaitServing(t, n1)
	pair()
}

// fill takes all room of a disk.
func fill(t *testing.T, dir string) (file string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	require.True(t, errors.Is(err, syscall.ENOSPC), "%v", err)
	return f.Name()
}

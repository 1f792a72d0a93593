//go:build unix

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/cmd/lockstepd/dev"
	"lockstep/e2e/harness"
)

// Whatever is wrong when a node starts, it says so in one line with what to do,
// and its exit code says whether trying again helps.
func TestNodeRefusesToStart(t *testing.T) {
	root := t.TempDir()
	layout, plan, err := dev.Prepare(dev.Config{Data: root, Nodes: 3, Ports: harness.Ports()})
	require.NoError(t, err)
	serve := func(t *testing.T, args ...string) (int, string) {
		t.Helper()
		p := harness.Start(t, harness.Command{Path: harness.Binary(t, "lockstepd"), Args: append([]string{"serve"}, args...)})
		return p.Wait(t), p.Output()
	}
	config := layout.Config("n1")

	t.Run("port in use", func(t *testing.T) {
		conn, err := net.ListenPacket("udp", plan.Members[0].Address)
		require.NoError(t, err)
		defer conn.Close()
		code, out := serve(t, "--config", config)
		assert.Equal(t, 75, code, out)
		assert.Contains(t, out, plan.Members[0].Address)
		assert.Contains(t, out, "in use")
	})
	t.Run("admin port in use", func(t *testing.T) {
		listener, err := net.Listen("tcp", plan.Members[0].Admin)
		require.NoError(t, err)
		defer listener.Close()
		code, out := serve(t, "--config", config)
		assert.Equal(t, 75, code, out)
		assert.Contains(t, out, plan.Members[0].Admin)
	})
	t.Run("typo in the file", func(t *testing.T) {
		data, err := os.ReadFile(config)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "typo.yaml")
		require.NoError(t, os.WriteFile(file, append(data, "raft:\n  heartbeat-timeot: 1s\n"...), 0o600))
		code, out := serve(t, "--config", file)
		assert.Equal(t, 78, code, out)
		assert.Contains(t, out, `raft.heartbeat-timeot: no such option (did you mean "raft.heartbeat-timeout"?)`)
	})
	t.Run("no file", func(t *testing.T) {
		code, out := serve(t, "--config", "/no/such/file.yaml")
		assert.Equal(t, 78, code, out)
	})
	t.Run("nothing configured", func(t *testing.T) {
		code, out := serve(t)
		assert.Equal(t, 78, code, out)
		assert.Contains(t, out, "node: is missing")
	})
	t.Run("certificate of another node", func(t *testing.T) {
		code, out := serve(t, "--config", config, "--tls-certificate", filepath.Join(layout.NodeDir("n2"), "node.pem"),
			"--tls-key", filepath.Join(layout.NodeDir("n2"), "node-key.pem"))
		assert.Equal(t, 78, code, out)
		assert.Contains(t, out, "is of node n2, but this is node n1")
	})
	t.Run("certificate of a client", func(t *testing.T) {
		code, out := serve(t, "--config", config, "--tls-certificate", filepath.Join(layout.ClientDir(), "client.pem"),
			"--tls-key", filepath.Join(layout.ClientDir(), "client-key.pem"))
		assert.Equal(t, 78, code, out)
		assert.Contains(t, out, "is of a client")
	})
	t.Run("unreadable certificate", func(t *testing.T) {
		code, out := serve(t, "--config", config, "--tls-ca", filepath.Join(root, "no.pem"))
		assert.Equal(t, 78, code, out)
		assert.Contains(t, out, "no.pem")
	})
	t.Run("key that others can read", func(t *testing.T) {
		key, err := os.ReadFile(filepath.Join(layout.NodeDir("n1"), "node-key.pem"))
		require.NoError(t, err)
		open := filepath.Join(t.TempDir(), "open.pem")
		require.NoError(t, os.WriteFile(open, key, 0o600))
		require.NoError(t, os.Chmod(open, 0o644))
		code, out := serve(t, "--config", config, "--tls-key", open)
		assert.Equal(t, 78, code, out)
		assert.Contains(t, out, "chmod 600")
	})
	t.Run("too little space", func(t *testing.T) {
		code, out := serve(t, "--config", config, "--disk-min-free", "1048576GiB")
		assert.Equal(t, 73, code, out)
		assert.Contains(t, out, "make room")
	})
	t.Run("check explains", func(t *testing.T) {
		code, out := serve(t, "--config", config, "--raft-heartbeat-timeout", "600ms", "--raft-leader-lease", "600ms", "--check")
		assert.Equal(t, 0, code, out)
		assert.Contains(t, out, "--raft-heartbeat-timeout;")
		assert.Contains(t, out, "The configuration is valid")
	})
	t.Run("data directory in use", func(t *testing.T) {
		first := harness.Start(t, harness.Command{Path: harness.Binary(t, "lockstepd"), Args: []string{"serve", "--config", config}})
		harness.Eventually(t, "the node to run", func() bool { return contains(first.Output(), "node runs") })
		spare := harness.FreeUDP(t)
		code, out := serve(t, "--config", config, "--listen", spare, "--advertise", plan.Members[0].Address, "--admin-listen", "")
		assert.Equal(t, 75, code, out)
		assert.Contains(t, out, "in use by another process")
		first.Kill(t)
	})
	t.Run("data directory of another node", func(t *testing.T) {
		code, out := serve(t, "--config", layout.Config("n2"), "--data", filepath.Join(layout.NodeDir("n1"), "data"))
		assert.Equal(t, 78, code, out)
		assert.Contains(t, out, "n1")
	})
	t.Run("data directory of another cluster", func(t *testing.T) {
		code, out := serve(t, "--config", config, "--cluster", "other")
		assert.Equal(t, 78, code, out)
		assert.Contains(t, out, "other")
	})
}

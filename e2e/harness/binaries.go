//go:build unix

package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// EnvBin names the folder of the binaries to test; `make e2e` sets it. Without
// it they are built once per test process.
const EnvBin = "LOCKSTEP_E2E_BIN"

var build = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv(EnvBin); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "lockstep-e2e-*")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+"/", "lockstep/cmd/lockstepd", "lockstep/cmd/lockstep").CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return dir, err
})

// Binary is the path of a program of this module: "lockstepd" or "lockstep".
func Binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := build()
	require.NoError(t, err, "building the binaries")
	return filepath.Join(dir, name)
}

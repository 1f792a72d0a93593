//go:build unix

package procgroup

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func shell(t *testing.T, script string) (*Group, *bufio.Reader) {
	t.Helper()
	path, err := exec.LookPath("sh")
	require.NoError(t, err)
	in, err := os.Open(os.DevNull)
	require.NoError(t, err)
	out, w, err := os.Pipe()
	require.NoError(t, err)
	g, err := Start(Spec{Path: path, Args: []string{"sh", "-c", script}, Env: os.Environ(), Files: [3]*os.File{in, w, os.Stderr}})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	t.Cleanup(func() {
		_ = g.Kill()
		in.Close()
		out.Close()
	})
	return g, bufio.NewReader(out)
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         int
	}{
		{"exit code", "exit 3", 3},
		{"signal", "kill -TERM $$", 128 + 15},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, _ := shell(t, c.script)
			status, ok := <-g.Changes()
			require.True(t, ok)
			assert.False(t, status.Stopped())
			assert.Equal(t, c.want, status.Code())
			_, open := <-g.Changes()
			assert.False(t, open)
		})
	}
}

func TestKillEndsTheWholeGroup(t *testing.T) {
	g, out := shell(t, "sleep 600 & echo $!; wait")
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	grandchild, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.NoError(t, g.Kill())
	status := <-g.Changes()
	assert.Equal(t, 128+9, status.Code())
	require.Eventually(t, func() bool { return !alive(grandchild) }, 10*time.Second, time.Millisecond)
	assert.NoError(t, g.Kill(), "a group that is gone is no error")
}

func TestStopIsReported(t *testing.T) {
	g, _ := shell(t, "kill -STOP $$; exit 4")
	status := <-g.Changes()
	require.True(t, status.Stopped())
	require.NoError(t, g.Signal(syscall.SIGCONT))
	status = <-g.Changes()
	assert.Equal(t, 4, status.Code())
}

func TestMissingProgram(t *testing.T) {
	_, err := Start(Spec{Path: "/no/such/program", Args: []string{"x"}, Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// alive tells whether the process runs; one that is only waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

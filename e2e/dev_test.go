//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/e2e/harness"
)

// What a newcomer does: a development cluster is healthy within a minute, every
// command that the README marks works as written, and Ctrl-C leaves nothing.
func TestDevelopmentClusterAndEveryCommandOfTheReadme(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	began := time.Now()
	p := harness.Start(t, harness.Command{Path: harness.Binary(t, "lockstepd"), Args: []string{"dev", "--data", data}})
	harness.Eventually(t, "health", func() bool { return contains(p.Output(), "The cluster is healthy") })
	assert.Less(t, time.Since(began), time.Minute)
	t.Logf("healthy after %v", time.Since(began))

	for i, script := range readmeScripts(t) {
		t.Run(string(rune('a'+i)), func(t *testing.T) {
			shell := exec.Command("sh", "-eux", "-c", script)
			shell.Dir = workplace(t)
			shell.Env = append(os.Environ(), "LOCKSTEP_DATA="+data)
			out, err := shell.CombinedOutput()
			require.NoError(t, err, "%s", out)
			t.Logf("%s", out)
		})
	}

	nodes := children(t, p.Pid())
	require.Len(t, nodes, 3)
	// Another one must not disturb it.
	second := harness.Start(t, harness.Command{Path: harness.Binary(t, "lockstepd"), Args: []string{"dev", "--data", data}})
	assert.Equal(t, 75, second.Wait(t), second.Output())
	assert.Contains(t, second.Output(), "is in use by another lockstepd dev")

	p.Signal(t, syscall.SIGINT)
	assert.Equal(t, 0, p.Wait(t), p.Output())
	for _, pid := range nodes {
		assert.False(t, running(pid), "node process %d is left", pid)
	}
}

func TestNodesDieWithTheirSupervisor(t *testing.T) {
	p := harness.Start(t, harness.Command{Path: harness.Binary(t, "lockstepd"), Args: []string{"dev", "--data", t.TempDir()}})
	harness.Eventually(t, "health", func() bool { return contains(p.Output(), "The cluster is healthy") })
	nodes := children(t, p.Pid())
	require.Len(t, nodes, 3)
	// Not the group: only the supervisor itself.
	p.Signal(t, syscall.SIGKILL)
	for _, pid := range nodes {
		harness.Eventually(t, "the nodes to die", func() bool { return !running(pid) })
	}
}

var marked = regexp.MustCompile("(?s)<!-- run -->\n```sh\n(.*?)```")

// readmeScripts are the code blocks of the README that are to be run.
func readmeScripts(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	var scripts []string
	for _, m := range marked.FindAllStringSubmatch(string(readme), -1) {
		scripts = append(scripts, m[1])
	}
	require.NotEmpty(t, scripts, "the README marks nothing to be run")
	return scripts
}

// The Go program in the README is the example that is compiled and run.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("../examples/firstlock/main.go")
	require.NoError(t, err)
	require.Contains(t, string(readme), "```go\n"+string(program)+"```")
}

// workplace is a folder in which bin/lockstep and go run ./examples work as in a
// clone, without touching it.
func workplace(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	dir := t.TempDir()
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != "bin" && e.Name() != "data" && e.Name() != ".git" {
			require.NoError(t, os.Symlink(filepath.Join(root, e.Name()), filepath.Join(dir, e.Name())))
		}
	}
	require.NoError(t, os.Symlink(filepath.Dir(harness.Binary(t, "lockstep")), filepath.Join(dir, "bin")))
	return dir
}

// children are the processes whose parent is pid.
func children(t *testing.T, parent int) []int {
	t.Helper()
	var pids []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, s := range stats {
		data, err := os.ReadFile(s)
		if err != nil {
			continue // it ended meanwhile
		}
		_, after, _ := strings.Cut(string(data), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(parent) && fields[0] != "Z" {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(s)))
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

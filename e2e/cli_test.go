//go:build unix

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/cmd/lockstepd/pki"
	"lockstep/e2e/harness"
	"lockstep/transport/certs"
)

// The command line on one cluster; each part uses paths of its own.
func TestCommandLine(t *testing.T) {
	c := harness.StartCluster(t, harness.Options{})
	for _, part := range []struct {
		name string
		run  func(*testing.T, *harness.Cluster)
	}{
		{"exit codes", exitCodes},
		{"environment of the command", commandEnvironment},
		{"listings", listings},
		{"watch resumes", watchResumes},
		{"stopped past its TTL it kills the command", stoppedLockKillsCommand},
		{"killed with -9 its command dies too", killedLockTakesCommandAlong},
		{"hold ends before the command", holdEnds},
		{"interrupted while waiting", interruptedWhileWaiting},
		{"stranger", stranger},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, c) })
	}
}

func exitCodes(t *testing.T, c *harness.Cluster) {
	for _, x := range []struct {
		name string
		args string
		want int
	}{
		{"success", "lock /cli/codes -- true", 0},
		{"command's own", "lock /cli/codes -- sh -c exit\\ 42", 42},
		{"signal", "lock /cli/codes -- sh -c kill\\ -9\\ $$", 137},
		{"empty segment", "lock /cli//codes -- true", 64},
		{"dots", "lock /cli/../codes -- true", 64},
		{"no path", "lock cli -- true", 64},
		{"only the root", "lock / -- true", 64},
		{"TTL too short", "lock /cli/codes --ttl 1s -- true", 64},
		{"TTL too long", "lock /cli/codes --ttl 100h -- true", 64},
		{"hold absurdly long", "lock /cli/codes --hold 999999h -- true", 64},
		{"shared", "lock /cli/codes --shared -- true", 0},
		{"other cluster", "lock /cli/codes --cluster other -- true", 77},
	} {
		t.Run(x.name, func(t *testing.T) {
			var args []string
			for _, a := range strings.Fields(strings.ReplaceAll(x.args, "\\ ", "\x00")) {
				args = append(args, strings.ReplaceAll(a, "\x00", " "))
			}
			code, out := c.Run(t, args...)
			assert.Equal(t, x.want, code, out)
			if x.want == 64 || x.want == 77 {
				assert.Contains(t, out, "lockstep: ", "it says why")
			}
		})
	}
	t.Run("held", func(t *testing.T) {
		held := c.CLI(t, "lock", "/cli/held", "--", "sh", "-c", "echo holding; sleep 600")
		held.Line(t, "holding")
		code, out := c.Run(t, "lock", "/cli/held", "--try", "--", "true")
		assert.Equal(t, 75, code, out)
		code, out = c.Run(t, "lock", "/cli/held", "--wait", "100ms", "--", "true")
		assert.Equal(t, 75, code, out)
		code, out = c.Run(t, "lock", "/cli/held", "--shared", "--try", "--", "true")
		assert.Equal(t, 75, code, out)
		held.Signal(t, syscall.SIGTERM)
		assert.Equal(t, 128+15, held.Wait(t))
		code, out = c.Run(t, "lock", "/cli/held", "--try", "--", "true")
		assert.Equal(t, 0, code, out)
	})
}

func commandEnvironment(t *testing.T, c *harness.Cluster) {
	code, out := c.Run(t, "lock", "/cli/env", "--", "env")
	require.Equal(t, 0, code, out)
	env := map[string]string{}
	for line := range strings.SplitSeq(out, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok {
			env[key] = value
		}
	}
	first, err := strconv.ParseUint(env["LOCKSTEP_TOKEN"], 10, 64)
	require.NoError(t, err)
	floor, err := strconv.ParseUint(env["LOCKSTEP_FLOOR"], 10, 64)
	require.NoError(t, err)
	assert.Less(t, floor, first)
	assert.Equal(t, "/cli/env", env["LOCKSTEP_PATH"])
	assert.NotEmpty(t, env["LOCKSTEP_SESSION"])
	assert.NotContains(t, strings.ToLower(out), "secret")

	_, out = c.Run(t, "lock", "/cli/env", "--", "sh", "-c", "echo $LOCKSTEP_TOKEN $LOCKSTEP_FLOOR")
	fields := strings.Fields(out)
	require.Len(t, fields, 2)
	second, err := strconv.ParseUint(fields[0], 10, 64)
	require.NoError(t, err)
	assert.Greater(t, second, first)
	assert.Equal(t, env["LOCKSTEP_TOKEN"], fields[1], "the floor is the last exclusive grant's token")
}

func listings(t *testing.T, c *harness.Cluster) {
	code, out := c.Run(t, "locks", "/cli/none")
	require.Equal(t, 0, code, out)
	assert.Contains(t, out, "lockstep lock /cli/none -- ", "an empty listing teaches")

	held := c.CLI(t, "lock", "/cli/list/a", "--", "sh", "-c", "echo holding; sleep 600")
	held.Line(t, "holding")
	waiting := c.CLI(t, "lock", "/cli/list/a", "--", "true")
	harness.Eventually(t, "a waiter", func() bool {
		_, out := c.Run(t, "waiters", "/cli/list")
		return contains(out, "/cli/list/a")
	})
	code, out = c.Run(t, "locks", "/cli/list", "-o", "json")
	require.Equal(t, 0, code, out)
	var answer struct {
		Locks []struct {
			Path, State string
			Waiters     int
			Holders     []struct {
				Token string
				Mode  string
			}
		}
		Read struct{ Linearizable bool }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer), out)
	require.Len(t, answer.Locks, 1)
	assert.Equal(t, "/cli/list/a", answer.Locks[0].Path)
	assert.Equal(t, "QUEUED", answer.Locks[0].State)
	assert.Equal(t, 1, answer.Locks[0].Waiters)
	assert.Equal(t, "exclusive", answer.Locks[0].Holders[0].Mode)
	assert.True(t, answer.Read.Linearizable)

	_, out = c.Run(t, "sessions", "/cli/list", "-o", "yaml")
	assert.Equal(t, 2, strings.Count(out, "- session:"), out)
	code, out = c.Run(t, "locks", "/cli/list", "--stale", "5s")
	require.Equal(t, 0, code, out)
	assert.Contains(t, out, "/cli/list/a")
	code, out = c.Run(t, "__complete", "lock", "/cli/li")
	require.Equal(t, 0, code, out)
	assert.Contains(t, out, "/cli/list/a", "TAB completes paths")

	held.Signal(t, syscall.SIGTERM)
	held.Wait(t)
	assert.Equal(t, 0, waiting.Wait(t))
}

func watchResumes(t *testing.T, c *harness.Cluster) {
	w := c.CLI(t, "watch", "/cli/watch", "-o", "json", "--listing")
	w.Line(t, `{"position"`) // the listing: the watch runs
	for range 3 {
		code, out := c.Run(t, "lock", "/cli/watch/a", "--", "true")
		require.Equal(t, 0, code, out)
	}
	type event struct{ Position, Kind, Path, Token string }
	parse := func(p *harness.Process) (events []event) {
		for _, line := range p.Lines() {
			var e event
			require.NoError(t, json.Unmarshal([]byte(line), &e), line)
			if e.Kind == "granted" || e.Kind == "grant ended" {
				events = append(events, e)
			}
		}
		return events
	}
	harness.Eventually(t, "six events", func() bool { return len(parse(w)) == 6 })
	all := parse(w)
	again := c.CLI(t, "watch", "/cli/watch", "-o", "json", "--from", all[1].Position)
	harness.Eventually(t, "the rest of the events", func() bool { return len(parse(again)) == 4 })
	assert.Equal(t, all[2:], parse(again), "no gap, no duplicate")
	w.Signal(t, syscall.SIGINT)
	assert.Equal(t, 128+2, w.Wait(t))
}

// lockstep is stopped for longer than its belief lasts: when it wakes up, it
// kills the command at once and says 76.
func stoppedLockKillsCommand(t *testing.T, c *harness.Cluster) {
	file := filepath.Join(t.TempDir(), "beats")
	p := c.CLI(t, "lock", "/cli/stopped", "--ttl", "3s", "--", "sh", "-c", "trap '' TERM; echo holding $$; while :; do echo x >> "+file+"; sleep 0.02; done")
	pid, err := strconv.Atoi(strings.TrimSpace(p.Line(t, "holding ")))
	require.NoError(t, err)
	p.Signal(t, syscall.SIGSTOP)
	code, out := c.Run(t, "lock", "/cli/stopped", "--wait", "20s", "--", "true")
	require.Equal(t, 0, code, "granted to the next one after the TTL: %s", out)
	p.Signal(t, syscall.SIGCONT)
	assert.Equal(t, 76, p.Wait(t), p.Output())
	require.Error(t, syscall.Kill(pid, 0), "the command is dead")
}

func killedLockTakesCommandAlong(t *testing.T, c *harness.Cluster) {
	p := c.CLI(t, "lock", "/cli/killed", "--ttl", "3s", "--", "sh", "-c", "echo holding $$; exec sleep 600")
	pid, err := strconv.Atoi(strings.TrimSpace(p.Line(t, "holding ")))
	require.NoError(t, err)
	p.Signal(t, syscall.SIGKILL)
	harness.Eventually(t, "the command's death", func() bool { return !running(pid) })
}

func holdEnds(t *testing.T, c *harness.Cluster) {
	began := time.Now()
	code, out := c.Run(t, "lock", "/cli/hold", "--hold", "1500ms", "--", "sh", "-c", "trap 'echo told to stop; exit 0' TERM; while :; do sleep 0.02; done")
	assert.Equal(t, 76, code, out)
	assert.Contains(t, out, "told to stop")
	assert.Less(t, time.Since(began), 10*time.Second)
	code, out = c.Run(t, "lock", "/cli/hold", "--wait", "10s", "--", "true")
	assert.Equal(t, 0, code, out)
}

func interruptedWhileWaiting(t *testing.T, c *harness.Cluster) {
	held := c.CLI(t, "lock", "/cli/int", "--", "sh", "-c", "echo holding; sleep 600")
	held.Line(t, "holding")
	waiting := c.CLI(t, "lock", "/cli/int", "--", "true")
	harness.Eventually(t, "a waiter", func() bool {
		_, out := c.Run(t, "waiters", "/cli/int")
		return contains(out, "/cli/int ")
	})
	waiting.Signal(t, syscall.SIGINT)
	assert.Equal(t, 128+2, waiting.Wait(t), waiting.Output())
	harness.Eventually(t, "the waiter to be gone", func() bool {
		_, out := c.Run(t, "waiters", "/cli/int")
		return contains(out, "Nobody waits")
	})
	held.Signal(t, syscall.SIGINT)
	held.Wait(t)
}

// A certificate of another authority gets nothing, and is told so.
func stranger(t *testing.T, c *harness.Cluster) {
	dir := t.TempDir()
	valid := certs.Validity{Now: time.Now(), For: time.Hour}
	require.NoError(t, pki.Init(filepath.Join(dir, "pki"), "dev", valid))
	a, err := pki.Authority(filepath.Join(dir, "pki"))
	require.NoError(t, err)
	require.NoError(t, pki.IssueClient(a, dir, "mallory", valid))
	// It even knows the real authority's certificate, so that it believes the nodes.
	ca := filepath.Join(c.Data, "client", "ca.pem")
	code, out := c.Run(t, "lock", "/cli/stranger", "--timeout", "5s", "--ca", ca,
		"--cert", filepath.Join(dir, "client.pem"), "--key", filepath.Join(dir, "client-key.pem"), "--", "true")
	assert.Equal(t, 77, code, out)
	code, out = c.Run(t, "lock", "/cli/stranger", "--timeout", "5s", "--ca", filepath.Join(dir, "ca.pem"),
		"--cert", filepath.Join(dir, "client.pem"), "--key", filepath.Join(dir, "client-key.pem"), "--", "true")
	assert.Equal(t, 77, code, out)
}

// running tells whether the process runs; one that is only waited for does not.
func running(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

//go:build unix

package harness

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lockstep/cmd/procgroup"
)

// Process is a child process whose lines the test reads. It dies with the test.
type Process struct {
	group *procgroup.Group
	name  string
	stdin *os.File

	mu    sync.Mutex
	lines []string
	ended bool
	code  int
	// changed is closed and replaced when lines or ended change.
	changed chan struct{}
}

// Command says what to start.
type Command struct {
	Path string
	Args []string
	// Env is added to the test's environment.
	Env []string
	Dir string
}

// Start starts a process whose standard output and error are both read.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	out, w, err := os.Pipe()
	require.NoError(t, err)
	in, stdin, err := os.Pipe()
	require.NoError(t, err)
	group, err := procgroup.Start(procgroup.Spec{
		Path: c.Path, Args: append([]string{c.Path}, c.Args...), Dir: c.Dir,
		Env: append(os.Environ(), c.Env...), Files: [3]*os.File{in, w, w},
	})
	require.NoError(t, err)
	w.Close()
	in.Close()
	p := &Process{group: group, name: c.Path, stdin: stdin, changed: make(chan struct{})}
	go p.read(out)
	t.Cleanup(func() {
		_ = group.Kill()
		p.Wait(t)
		stdin.Close()
	})
	return p
}

func (p *Process) read(out *os.File) {
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		p.mu.Lock()
		if line != "" {
			p.lines = append(p.lines, strings.TrimRight(line, "\n"))
		}
		p.announce()
		p.mu.Unlock()
		if err != nil {
			break
		}
	}
	out.Close()
	code := -1
	for status := range p.group.Changes() {
		if !status.Stopped() {
			code = status.Code()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended, p.code = true, code
	p.announce()
}

func (p *Process) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Signal sends a signal to the process alone.
func (p *Process) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(p.group.Pid(), sig))
}

// Kill kills it with -9 and waits until it is gone.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	require.NoError(t, p.group.Kill())
	p.Wait(t)
}

// Send writes a line to its standard input.
func (p *Process) Send(t testing.TB, line string) {
	t.Helper()
	_, err := io.WriteString(p.stdin, line+"\n")
	require.NoError(t, err)
}

// Wait waits for its end and returns the exit code.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	var code int
	p.until(t, time.Minute, "ended", func() bool { code = p.code; return p.ended })
	return code
}

// Line waits for a line that begins with the prefix and returns the rest of it.
func (p *Process) Line(t testing.TB, prefix string) string {
	t.Helper()
	var rest string
	p.until(t, 30*time.Second, fmt.Sprintf("printed a line that begins with %q", prefix), func() bool {
		for _, l := range p.lines {
			if after, ok := strings.CutPrefix(l, prefix); ok {
				rest = after
				return true
			}
		}
		return false
	})
	return rest
}

// Lines are all lines so far.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// Output is all it printed so far.
func (p *Process) Output() string { return strings.Join(p.Lines(), "\n") }

// Pid is its process id.
func (p *Process) Pid() int { return p.group.Pid() }

// Ended tells whether it has ended.
func (p *Process) Ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// until waits until done, which is called with the lock held.
func (p *Process) until(t testing.TB, within time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		ok, ended, changed := done(), p.ended, p.changed
		p.mu.Unlock()
		if ok {
			return
		}
		if ended {
			require.Failf(t, "process ended", "%s ended and never %s; it printed:\n%s", p.name, what, p.Output())
		}
		select {
		case <-changed:
		case <-deadline.C:
			require.Failf(t, "too slow", "%s has not %s within %v; it printed:\n%s", p.name, what, within, p.Output())
		}
	}
}

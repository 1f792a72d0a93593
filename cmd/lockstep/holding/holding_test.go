//go:build unix

package holding

import (
	"bufio"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeBelief lasts until an instant that the test may move.
type fakeBelief struct {
	until atomic.Int64
	start time.Time
	ctx   context.Context
}

func believing(t *testing.T, d time.Duration) *fakeBelief {
	t.Helper()
	b := &fakeBelief{start: time.Now(), ctx: t.Context()}
	b.until.Store(int64(d))
	return b
}

func (b *fakeBelief) HeldUntil() time.Time     { return b.start.Add(time.Duration(b.until.Load())) }
func (b *fakeBelief) Held() bool               { return time.Now().Before(b.HeldUntil()) }
func (b *fakeBelief) Context() context.Context { return b.ctx }

type running struct {
	out     *bufio.Reader
	outcome chan Outcome
	ended   chan time.Time
}

func run(t *testing.T, belief Belief, window time.Duration, script string) running {
	t.Helper()
	path, err := Look("sh")
	require.NoError(t, err)
	in, err := os.Open(os.DevNull)
	require.NoError(t, err)
	out, w, err := os.Pipe()
	require.NoError(t, err)
	r := running{bufio.NewReader(out), make(chan Outcome, 1), make(chan time.Time, 1)}
	go func() {
		outcome, err := Run(
			Command{Path: path, Args: []string{"sh", "-c", script}, Env: os.Environ(), Files: [3]*os.File{in, w, os.Stderr}},
			belief, Config{Window: window, Say: t.Logf})
		r.ended <- time.Now()
		assert.NoError(t, err)
		w.Close()
		r.outcome <- outcome
	}()
	t.Cleanup(func() {
		in.Close()
		out.Close()
	})
	return r
}

func TestCommandsOwnExitCode(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         int
	}{
		{"success", "true", 0}, {"failure", "exit 42", 42}, {"killed by a signal", "kill -KILL $$", 137},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, believing(t, time.Hour), time.Minute, c.script)
			assert.Equal(t, Outcome{Code: c.want}, <-r.outcome)
		})
	}
}

func TestToldToStopWhenAThirdRemains(t *testing.T) {
	belief := believing(t, 1500*time.Millisecond)
	r := run(t, belief, 1500*time.Millisecond, `trap 'echo stopping; exit 9' TERM; echo ready; while :; do sleep 0.05; done`)
	assert.Equal(t, Outcome{Code: 9, Lost: true}, <-r.outcome)
	assert.True(t, (<-r.ended).Before(belief.HeldUntil()))
	all, err := io.ReadAll(r.out)
	require.NoError(t, err)
	assert.Equal(t, "ready\nstopping\n", string(all))
}

// The command ignores the warning and has children: all are dead while belief lasts.
func TestWholeGroupIsDeadBeforeBeliefEnds(t *testing.T) {
	belief := believing(t, 4*time.Second)
	r := run(t, belief, 4*time.Second, `trap '' TERM; sh -c "trap '' TERM; while :; do sleep 0.05; done" & echo $!; wait; wait`)
	line, err := r.out.ReadString('\n')
	require.NoError(t, err)
	grandchild, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	outcome := <-r.outcome
	assert.True(t, outcome.Lost)
	assert.Equal(t, 128+9, outcome.Code)
	assert.True(t, (<-r.ended).Before(belief.HeldUntil()), "it ended after belief")
	require.Eventually(t, func() bool { return !runs(grandchild) }, 5*time.Second, time.Millisecond)
}

func TestRenewedBeliefLetsItRun(t *testing.T) {
	belief := believing(t, 600*time.Millisecond)
	r := run(t, belief, 600*time.Millisecond, `echo ready; sleep 1.2`)
	_, err := r.out.ReadString('\n')
	require.NoError(t, err)
	belief.until.Store(int64(time.Hour))
	assert.Equal(t, Outcome{}, <-r.outcome)
}

func TestLostAtOnce(t *testing.T) {
	belief := believing(t, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	belief.ctx = ctx
	r := run(t, belief, time.Hour, `echo ready; sleep 600`)
	_, err := r.out.ReadString('\n')
	require.NoError(t, err)
	belief.until.Store(0)
	cancel()
	assert.Equal(t, Outcome{Code: 137, Lost: true}, <-r.outcome)
}

func TestLeftoversAreKilled(t *testing.T) {
	r := run(t, believing(t, time.Hour), time.Minute, `sleep 600 >/dev/null & echo $!`)
	line, err := r.out.ReadString('\n')
	require.NoError(t, err)
	leftover, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	assert.Equal(t, Outcome{}, <-r.outcome)
	require.Eventually(t, func() bool { return !runs(leftover) }, 5*time.Second, time.Millisecond)
}

func TestSignalsAreForwarded(t *testing.T) {
	r := run(t, believing(t, time.Hour), time.Minute, `trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done`)
	_, err := r.out.ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	assert.Equal(t, Outcome{Code: 5}, <-r.outcome)
}

func TestDoesNotStartWithoutBelief(t *testing.T) {
	outcome, err := Run(Command{}, believing(t, -time.Second), Config{Say: t.Logf})
	require.Error(t, err)
	assert.True(t, outcome.Lost)
}

func TestLook(t *testing.T) {
	_, err := Look("no-such-command-anywhere")
	require.ErrorIs(t, err, ErrNotFound)
	file := t.TempDir() + "/plain"
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Look(file)
	require.ErrorIs(t, err, ErrNotExecutable)
}

func TestDecide(t *testing.T) {
	p := planFor(6 * time.Second)
	for _, c := range []struct {
		name      string
		held      bool
		remaining time.Duration
		warned    bool
		want      action
		next      time.Duration
	}{
		{"fresh", true, 6 * time.Second, false, actWait, LookInterval},
		{"just above a third", true, 2*time.Second + time.Millisecond, false, actWait, time.Millisecond},
		{"a third", true, 2 * time.Second, false, actWarn, LookInterval},
		{"warned already", true, time.Second, true, actWait, LookInterval},
		{"shortly before the kill", true, 760 * time.Millisecond, true, actWait, 10 * time.Millisecond},
		{"margin reached", true, 750 * time.Millisecond, true, actKill, 0},
		{"over", false, -time.Second, false, actKill, 0},
		{"not held though time remains", false, 6 * time.Second, false, actKill, 0},
		{"renewed after a warning", true, 6 * time.Second, true, actWait, LookInterval},
	} {
		t.Run(c.name, func(t *testing.T) {
			act, next := p.decide(c.held, c.remaining, c.warned)
			assert.Equal(t, c.want, act)
			assert.Equal(t, c.next, next)
		})
	}
}

// runs tells whether the process runs; one that is only waited for does not.
func runs(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/client"
	"lockstep/cmd/lockstep/holding"
)

func TestWrongUsageSaysWhatToWrite(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"typo in a command", "lok /x", `no such command: "lok" (did you mean "lock"?)`},
		{"typo in a flag", "lock /x --tri -- ls", `no such flag: --tri (did you mean "try"?)`},
		{"typo in a format", "locks -o jsn", `did you mean "json"?`},
		{"no path", "lock -- ls", "PATH is missing"},
		{"no command", "lock /x", "CMD is missing"},
		{"no command after dashes", "lock /x --", "CMD is missing"},
		{"no dashes", "lock /x ls", "write -- before the command: lockstep lock /x -- ls"},
		{"two paths", "lock /x /y -- ls", `one PATH only, not "/y" too`},
		{"try and wait", "lock /x --try --wait 3s -- ls", "--try does not wait, --wait does"},
		{"negative wait", "lock /x --wait -3s -- ls", "--wait -3s is negative"},
		{"zero hold", "lock /x --hold 0 -- ls", "--hold 0s is not positive"},
		{"negative delay", "lock /x --delay -1s -- ls", "--delay -1s is negative"},
		{"no duration", "lock /x --wait soon -- ls", `invalid argument "soon"`},
		{"relative prefix", "locks orders", `did you mean "/orders"?`},
		{"two prefixes", "waiters /a /b", `what is "/b" for?`},
		{"no position", "watch --from here", `position "here" is not index.n`},
		{"listing from earlier", "watch --listing --from 3.1", "choose one"},
		{"argument too many", "status now", `what is "now" for?`},
		{"no time at all", "locks --timeout 0s", "--timeout 0s is not positive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			assert.Equal(t, exitUsage, run(strings.Fields(c.args), &out, &errs), errs.String())
			assert.Contains(t, errs.String(), c.want)
			assert.True(t, strings.HasPrefix(errs.String(), "lockstep"), errs.String())
			assert.Empty(t, out.String())
		})
	}
}

func TestCommandThatCannotRunIsNotLockedFor(t *testing.T) {
	var errs bytes.Buffer
	assert.Equal(t, exitNotFound, run([]string{"lock", "/x", "--", "no-such-command-anywhere"}, &bytes.Buffer{}, &errs))
	plain := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	assert.Equal(t, exitNotExecutable, run([]string{"lock", "/x", "--", plain}, &bytes.Buffer{}, &errs))
}

// Each error of the client has its exit code, also where it comes with others.
func TestExitCodes(t *testing.T) {
	op := func(err, cause error) error { return &client.Error{Op: "acquire", Path: "/x", Err: err, Cause: cause} }
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing", nil, 0},
		{"command's own", codeError(3), 3},
		{"signal", signalError{syscall.SIGINT}, 130},
		{"usage", usage("x"), 64},
		{"held", op(client.ErrHeld, nil), 75},
		{"timeout", op(client.ErrTimeout, nil), 75},
		{"limit", op(client.ErrResourceExhausted, nil), 75},
		{"lost", op(client.ErrLost, nil), 76},
		{"unavailable", op(client.ErrUnavailable, context.DeadlineExceeded), 69},
		{"unknown outcome", op(client.ErrUnavailable, client.ErrOutcomeUnknown), 69},
		{"session expired", op(client.ErrSessionExpired, nil), 69},
		{"not permitted", op(client.ErrNotPermitted, nil), 77},
		{"unreachable because not permitted", op(client.ErrUnavailable, client.ErrNotPermitted), 77},
		{"invalid path", op(client.ErrInvalid, nil), 64},
		{"not found", fmt.Errorf("%w: x", holding.ErrNotFound), 127},
		{"not executable", fmt.Errorf("%w: x", holding.ErrNotExecutable), 126},
		{"anything else", errors.New("?"), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, report(&bytes.Buffer{}, c.err))
		})
	}
}

// Every command has a help that teaches: what it does, and examples.
func TestHelpTeaches(t *testing.T) {
	a := &app{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			visit(c)
		}
		assert.NotEmpty(t, cmd.Short, cmd.CommandPath())
		assert.NotEmpty(t, cmd.Long, cmd.CommandPath())
		if cmd.Name() != "version" {
			assert.Contains(t, cmd.Example, "lockstep", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Long, "\n") {
			assert.LessOrEqual(t, len(line), 100, "%s: %s", cmd.CommandPath(), line)
		}
	}
	visit(a.root())
}

func TestFolder(t *testing.T) {
	for _, c := range []struct{ begun, want string }{
		{"", "/"}, {"/", "/"}, {"/ord", "/"}, {"/orders/", "/orders"}, {"/orders/eu/4", "/orders/eu"},
	} {
		t.Run(c.begun, func(t *testing.T) { assert.Equal(t, c.want, folder(c.begun)) })
	}
}

func TestLabelIsShort(t *testing.T) {
	l := label("/usr/bin/" + strings.Repeat("x", 200))
	assert.LessOrEqual(t, len([]rune(l)), maxLabel)
	assert.NotContains(t, label("/usr/bin/make"), "/")
}

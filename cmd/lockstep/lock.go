package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"lockstep/client"
	"lockstep/cmd/lockstep/holding"
)

const (
	// sayWaiting is after how long a person at a terminal is told that it waits.
	sayWaiting = time.Second
	// endPatience bounds giving the lock back; past it the session's expiry does.
	endPatience = 5 * time.Second
	// maxLabel keeps labels readable in a table.
	maxLabel = 64
)

type lockFlags struct {
	shared, try      bool
	wait, hold, ttl  time.Duration
	delay            time.Duration
	waitSet, holdSet bool
}

func (a *app) lockCommand() *cobra.Command {
	var f lockFlags
	cmd := &cobra.Command{
		Use:   "lock PATH [flags] -- CMD [ARGS...]",
		Short: "Run a command while holding a lock",
		Long: `Waits for the lock at PATH, runs CMD while holding it, gives it back, and exits as
CMD did.

CMD's environment has LOCKSTEP_TOKEN and LOCKSTEP_FLOOR for fencing, LOCKSTEP_PATH and
LOCKSTEP_SESSION. A resource that CMD writes to should refuse a token that is not above the
highest floor it has seen: only that protects it from a CMD that was frozen.

CMD runs in a process group of its own. When the lock is about to be lost, the group gets
SIGTERM while a third of the remaining time is left, and SIGKILL before anybody else can
be granted; lockstep then exits with 76. What CMD leaves running in its group is killed
before the lock is given back. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are
passed on.

Exit codes: CMD's own, 128 + n if signal n ended it; 75 not acquired, 76 lost while CMD
ran, 69 service unavailable, 77 not permitted, 64 wrong usage, 127 no such CMD, 126 CMD
not executable. Nothing is locked for a CMD that cannot be run.`,
		Example: `  lockstep lock /backup -- ./backup.sh
  lockstep lock /deploy --try -- make deploy || echo "somebody else deploys"
  lockstep lock /reports --shared --wait 30s -- ./report.py
  lockstep lock /orders/eu -- sh -c 'curl -H "Fence: $LOCKSTEP_TOKEN $LOCKSTEP_FLOOR" https://store.example/write'`,
		Args: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			switch {
			case dash < 0 && len(args) > 1:
				return usage("lockstep lock: write -- before the command: lockstep lock %s -- %s ...", args[0], args[1])
			case len(args) == 0 || dash == 0:
				return usage("lockstep lock: PATH is missing: %s", cmd.UseLine())
			case dash < 0 || len(args) == dash:
				return usage("lockstep lock: CMD is missing: %s", cmd.UseLine())
			case dash > 1:
				return usage("lockstep lock: one PATH only, not %q too", args[1])
			}
			return nil
		},
		ValidArgsFunction: a.completePath(),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.waitSet, f.holdSet = cmd.Flags().Changed("wait"), cmd.Flags().Changed("hold")
			return a.lock(cmd.Context(), args[0], args[1:], f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.shared, "shared", false, "share the lock with other shared holders")
	flags.DurationVar(&f.wait, "wait", 0, "give up after so long in the queue (default: wait for ever)")
	flags.BoolVar(&f.try, "try", false, "do not wait at all")
	flags.DurationVar(&f.hold, "hold", 0, "hold it no longer than this (default: as long as CMD runs)")
	flags.DurationVar(&f.ttl, "ttl", 10*time.Second, "after how long without a heartbeat the service gives the lock to the next one")
	flags.DurationVar(&f.delay, "delay", 0, "keep the lock closed for so long if it is lost, so that CMD's last writes can settle")
	return cmd
}

func (f lockFlags) check() error {
	switch {
	case f.try && f.waitSet:
		return usage("lockstep lock: --try does not wait, --wait does: choose one")
	case f.waitSet && f.wait < 0:
		return usage("lockstep lock: --wait %v is negative; 0 means --try", f.wait)
	case f.holdSet && f.hold <= 0:
		return usage("lockstep lock: --hold %v is not positive; leave it out to hold as long as CMD runs", f.hold)
	case f.delay < 0:
		return usage("lockstep lock: --delay %v is negative", f.delay)
	}
	return nil
}

func (a *app) lock(ctx context.Context, path string, command []string, f lockFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	executable, err := holding.Look(command[0])
	if err != nil {
		return err
	}
	c, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	session, err := c.NewSession(ctx, client.TTL(f.ttl), client.Label(label(command[0])))
	if err != nil {
		return err
	}
	defer a.end(session)
	grant, err := a.acquire(ctx, session, path, f)
	if err != nil {
		return err
	}
	window := session.TTL() - session.Grace()
	if f.hold > 0 {
		window = min(window, f.hold)
	}
	outcome, err := holding.Run(
		holding.Command{Path: executable, Args: command, Env: environment(grant), Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}},
		grant,
		holding.Config{Window: window, Say: func(format string, args ...any) { say(a.stderr, format, args...) }})
	switch {
	case outcome.Lost:
		if err != nil {
			say(a.stderr, "%v", err)
		}
		return codeError(exitLost)
	case err != nil:
		return err
	default:
		return codeError(outcome.Code)
	}
}

// acquire waits for the lock as the flags say.
func (a *app) acquire(ctx context.Context, session *client.Session, path string, f lockFlags) (*client.Grant, error) {
	var options []client.LockOption
	if f.shared {
		options = append(options, client.Shared())
	}
	if f.hold > 0 {
		options = append(options, client.Hold(f.hold))
	}
	if f.delay > 0 {
		options = append(options, client.Delay(f.delay))
	}
	lock := session.Lock(path, options...)
	if f.try || f.waitSet && f.wait == 0 {
		return lock.TryAcquire(ctx)
	}
	if terminal(a.stderr) {
		patience := time.AfterFunc(sayWaiting, func() {
			say(a.stderr, "waiting for %s; `lockstep locks %s` shows who holds it", path, path)
		})
		defer patience.Stop()
	}
	var waiting []client.AcquireOption
	if f.waitSet {
		waiting = append(waiting, client.WithWait(f.wait))
	}
	return lock.Acquire(ctx, waiting...)
}

// end gives the lock back. What cannot be given back is freed by the session's
// expiry, so that is no failure of the command.
func (a *app) end(session *client.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	err := session.End(ctx)
	if err != nil && !errors.Is(err, client.ErrSessionExpired) && !errors.Is(err, client.ErrClosed) {
		say(a.stderr, "could not give the lock back: %v", err)
		say(a.stderr, "the service frees it when the session expires, in at most %v", session.TTL())
	}
}

// environment is what CMD gets: never the session's secret.
func environment(g *client.Grant) []string {
	return append(os.Environ(),
		"LOCKSTEP_TOKEN="+g.Token().String(),
		"LOCKSTEP_FLOOR="+g.Floor().String(),
		"LOCKSTEP_PATH="+g.Path(),
		"LOCKSTEP_SESSION="+strconv.FormatUint(uint64(g.Session().ID()), 10),
	)
}

// label is what `lockstep sessions` shows of this process.
func label(command string) string {
	who := "somebody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	l := fmt.Sprintf("%s@%s[%d] %s", who, host, os.Getpid(), filepath.Base(command))
	if runes := []rune(l); len(runes) > maxLabel {
		l = string(runes[:maxLabel])
	}
	return l
}

//go:build unix

package holding

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"lockstep/cmd/procgroup"
)

// Belief is what the runner asks of a grant; *client.Grant is one.
type Belief interface {
	// Held tells whether this process may act on the grant now.
	Held() bool
	// HeldUntil is until when, as far as is known now.
	HeldUntil() time.Time
	// Context ends when belief does.
	Context() context.Context
}

// Command is what to run.
type Command struct {
	// Path is the executable (see Look), Args the arguments, the name included.
	Path string
	Args []string
	Env  []string
	// Files are standard input, output and error.
	Files [3]*os.File
}

// Config is how to run it.
type Config struct {
	// Window is how long belief lasts when it was just renewed.
	Window time.Duration
	// Say tells the user what happened; it may be called from Run only.
	Say func(format string, args ...any)
}

// Outcome is how it ended.
type Outcome struct {
	// Code is the command's exit code, 128 + n for a signal.
	Code int
	// Lost: belief was about to end, so the command was told to stop or killed.
	Lost bool
}

// Look finds the executable as a shell would: ErrNotFound, or ErrNotExecutable.
func Look(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil || errors.Is(err, exec.ErrDot):
		return path, nil
	case errors.Is(err, os.ErrPermission):
		return "", fmt.Errorf("%w: %s", ErrNotExecutable, name)
	default:
		return "", fmt.Errorf("%w: %s", ErrNotFound, name)
	}
}

var (
	// ErrNotFound is returned by Look when there is no such command.
	ErrNotFound = errors.New("command not found")
	// ErrNotExecutable is returned by Look for a file that cannot be run.
	ErrNotExecutable = errors.New("command is not executable")
)

// forwarded are the signals that the command gets when this process does.
var forwarded = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// Run starts the command, waits until it has ended, and kills what it leaves
// behind in its process group. It returns an error only if nothing was started.
// It takes the process's signal handling over, so there may be one Run at a time.
func Run(command Command, belief Belief, cfg Config) (Outcome, error) {
	if !belief.Held() {
		return Outcome{Lost: true}, errors.New("the lock was lost before the command could start")
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, append([]os.Signal{syscall.SIGCONT, syscall.SIGTSTP}, forwarded...)...)
	defer signal.Stop(signals)

	r := &runner{belief: belief, plan: planFor(cfg.Window), cfg: cfg, signals: signals}
	r.terminal = interactive(command.Files[0])
	group, err := procgroup.Start(procgroup.Spec{
		Path: command.Path, Args: command.Args, Env: command.Env, Files: command.Files, Terminal: r.terminal,
	})
	if err != nil {
		return Outcome{}, err
	}
	r.group = group
	if r.terminal != nil {
		// Only now, or the command would inherit that it is ignored.
		signal.Ignore(syscall.SIGTTOU)
		defer r.takeTerminal()
	}
	return r.watch(), nil
}

// interactive is the terminal in whose foreground this process runs, or nil.
func interactive(stdin *os.File) *os.File {
	if !term.IsTerminal(int(stdin.Fd())) {
		return nil
	}
	if foreground, err := procgroup.Foreground(stdin); err != nil || foreground != syscall.Getpgrp() {
		return nil
	}
	return stdin
}

type runner struct {
	belief   Belief
	plan     plan
	cfg      Config
	signals  chan os.Signal
	terminal *os.File
	group    *procgroup.Group

	warned, killed bool
	// suspended: the group was stopped together with this process.
	suspended bool
}

func (r *runner) watch() Outcome {
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := r.belief.Context().Done()
	for {
		select {
		case status, running := <-r.group.Changes():
			if running && status.Stopped() {
				r.followStop()
				continue
			}
			// What it left running must not act without the lock either.
			_ = r.group.Kill()
			return Outcome{Code: status.Code(), Lost: r.warned || r.killed}
		case sig := <-r.signals:
			r.onSignal(sig.(syscall.Signal))
		case <-done:
			done = nil // closed for good; belief itself is asked below
		case <-timer.C:
		}
		timer.Reset(r.look())
	}
}

// look asks belief and acts on the answer; it returns when to look again.
func (r *runner) look() time.Duration {
	// HeldUntil first: belief may end between the two questions, never return.
	until := r.belief.HeldUntil()
	act, next := r.plan.decide(r.belief.Held(), time.Until(until), r.warned)
	switch act {
	case actWait:
	case actWarn:
		r.warned = true
		r.cfg.Say("the lock is about to be lost (its hold ends, or no heartbeat was acknowledged lately): telling the command to stop")
		_ = r.group.Signal(syscall.SIGTERM)
	case actKill:
		if !r.killed {
			r.cfg.Say("the lock is lost: the command and its process group are killed")
		}
		r.killed = true
		_ = r.group.Kill()
		return LookInterval
	}
	return next
}

func (r *runner) onSignal(sig syscall.Signal) {
	if sig == syscall.SIGCONT {
		r.resume()
		return
	}
	if sig == syscall.SIGTSTP {
		_ = r.group.Signal(syscall.SIGSTOP)
		r.stopSelf()
		return
	}
	_ = r.group.Signal(sig)
}

// followStop stops this process when the command was stopped from the terminal,
// so that the shell gets its prompt back.
func (r *runner) followStop() {
	if r.terminal == nil || r.suspended {
		return
	}
	if foreground, err := procgroup.Foreground(r.terminal); err != nil || foreground != r.group.Pid() {
		return
	}
	r.stopSelf()
}

// stopSelf stops this process; heartbeats stop with it, so belief may be over
// when it wakes up. The command stays stopped until belief was looked at.
func (r *runner) stopSelf() {
	r.suspended = true
	r.takeTerminal()
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
}

// resume runs after SIGCONT: first it asks belief, only then the command goes on.
func (r *runner) resume() {
	r.look()
	if r.killed || !r.suspended {
		return
	}
	r.suspended = false
	if r.terminal != nil {
		if foreground, err := procgroup.Foreground(r.terminal); err == nil && foreground == syscall.Getpgrp() {
			_ = procgroup.SetForeground(r.terminal, r.group.Pid())
		}
	}
	_ = r.group.Signal(syscall.SIGCONT)
}

func (r *runner) takeTerminal() {
	if r.terminal != nil {
		_ = procgroup.SetForeground(r.terminal, syscall.Getpgrp())
	}
}

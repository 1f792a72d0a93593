//go:build unix

// Package procgroup starts processes in groups of their own and ends whole
// groups. It decides that no child outlives the process that answers for it, as
// far as the system allows.
package procgroup

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spec says what to start.
type Spec struct {
	// Path is the executable, Args its arguments, the name included.
	Path string
	Args []string
	Dir  string
	Env  []string
	// Files are standard input, output and error.
	Files [3]*os.File
	// Terminal, if not nil, is the terminal whose foreground the group becomes.
	Terminal *os.File
}

// Group is a process that leads its own process group.
type Group struct {
	pid   int
	exits chan Status
}

// Status is how the leader of a group changed: it exited, was ended by a signal,
// or was stopped.
type Status struct {
	ws syscall.WaitStatus
}

// Stopped tells that the leader was stopped and may be continued.
func (s Status) Stopped() bool { return s.ws.Stopped() }

// Code is the exit code, or 128 + n when signal n ended the process.
func (s Status) Code() int {
	if s.ws.Signaled() {
		return 128 + int(s.ws.Signal())
	}
	return s.ws.ExitStatus()
}

// Signal is the signal that ended the process, or 0.
func (s Status) Signal() syscall.Signal {
	if s.ws.Signaled() {
		return s.ws.Signal()
	}
	return 0
}

// Start starts the process as the leader of a new group. On Linux it is killed
// when this process ends for whatever reason.
func Start(spec Spec) (*Group, error) {
	g := &Group{exits: make(chan Status, 1)}
	started := make(chan error)
	go func() {
		// The kernel ties the death signal to the thread that started the child,
		// not to the process: so this thread stays until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		attr := attributes()
		attr.Setpgid = true
		if spec.Terminal != nil {
			attr.Foreground = true
			attr.Ctty = int(spec.Terminal.Fd())
		}
		pid, err := syscall.ForkExec(spec.Path, spec.Args, &syscall.ProcAttr{
			Dir: spec.Dir, Env: spec.Env, Sys: attr,
			Files: []uintptr{spec.Files[0].Fd(), spec.Files[1].Fd(), spec.Files[2].Fd()},
		})
		g.pid = pid
		if err != nil {
			err = &os.PathError{Op: "start", Path: spec.Path, Err: err}
		}
		started <- err
		if err == nil {
			g.wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return g, nil
}

// wait reports stops and the end. A stop that nobody looks at gives way to what
// comes after it.
func (g *Group) wait() {
	defer close(g.exits)
	for {
		var ws syscall.WaitStatus
		_, err := syscall.Wait4(g.pid, &ws, unix.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		select {
		case <-g.exits:
		default:
		}
		g.exits <- Status{ws}
		if !ws.Stopped() {
			return
		}
	}
}

// Changes delivers how the leader changed, and is closed after its end.
func (g *Group) Changes() <-chan Status { return g.exits }

// Pid is the process id of the leader and the id of the group.
func (g *Group) Pid() int { return g.pid }

// Signal sends sig to every process of the group. A group that is gone is no error.
func (g *Group) Signal(sig syscall.Signal) error {
	if err := syscall.Kill(-g.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return &os.SyscallError{Syscall: "kill", Err: err}
	}
	return nil
}

// Kill ends every process of the group at once, stopped ones too.
func (g *Group) Kill() error { return g.Signal(syscall.SIGKILL) }

// Foreground is the process group in the foreground of the terminal.
func Foreground(terminal *os.File) (int, error) {
	return unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
}

// SetForeground brings a process group to the foreground of the terminal.
// SIGTTOU must be ignored by then: the caller may be in the background.
func SetForeground(terminal *os.File, group int) error {
	return unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPGRP, group)
}

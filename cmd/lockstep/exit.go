package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"lockstep/client"
	"lockstep/cmd/lockstep/holding"
	"lockstep/transport/certs"
)

// Exit codes, those of sysexits.h where it has one. Otherwise `lockstep lock`
// exits with the code of its command.
const (
	exitOK            = 0
	exitFailure       = 1
	exitUsage         = 64
	exitUnavailable   = 69
	exitNotAcquired   = 75
	exitLost          = 76
	exitNotPermitted  = 77
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// signalError tells that a signal ended the command before it was done.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return "stopped by signal: " + e.signal.String() }

// codeError exits with the code and says nothing: it was said, or it is CMD's own.
type codeError int

func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// verdicts say for each error of the client which code it gets and what to do
// next. The first that fits counts.
var verdicts = []struct {
	err  error
	code int
	next string
}{
	{client.ErrNotPermitted, exitNotPermitted, "use a certificate of this cluster's authority: --ca, --cert and --key, or --data"},
	{certs.ErrStranger, exitNotPermitted, "use a certificate of this cluster's authority: --ca, --cert and --key, or --data"},
	{certs.ErrExpired, exitNotPermitted, "issue a new certificate: lockstepd certs client --help"},
	{certs.ErrKind, exitNotPermitted, "use a client's certificate: lockstepd certs client --help"},
	{client.ErrWrongCluster, exitNotPermitted, "check --endpoints, --data and LOCKSTEP_ENDPOINTS: they lead to another cluster"},
	{client.ErrHeld, exitNotAcquired, "leave --try out to wait, or see who has it: lockstep locks"},
	{client.ErrTimeout, exitNotAcquired, "wait longer with --wait, or see who is ahead: lockstep waiters"},
	{client.ErrResourceExhausted, exitNotAcquired, "try again later; docs/operations.md lists the limits"},
	{client.ErrLost, exitLost, ""},
	{client.ErrInvalid, exitUsage, ""},
	{client.ErrVersion, exitUnavailable, "bring lockstep and lockstepd to versions that understand each other: lockstep version"},
	{client.ErrTooStale, exitUnavailable, "allow more with --stale, or leave it out"},
	{client.ErrSessionExpired, exitUnavailable, "the service did not hear from this process for the session's TTL; run it again"},
	{client.ErrOutcomeUnknown, exitUnavailable, "see what happened with lockstep locks; what this process took is freed when its session expires"},
	{client.ErrUnavailable, exitUnavailable, "see which nodes answer: lockstep status; in development, start a cluster: make run"},
	{context.DeadlineExceeded, exitUnavailable, "see which nodes answer: lockstep status; or allow more time with --timeout"},
}

// report prints the error, if it is one to be printed, and returns the exit code.
func report(w io.Writer, err error) int {
	var code codeError
	var signal signalError
	var wrong usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &signal):
		return exitSignal + int(signal.signal)
	case errors.As(err, &wrong):
		fmt.Fprintln(w, err) // it begins with the command
		return exitUsage
	case errors.Is(err, holding.ErrNotFound):
		say(w, "%v", err)
		return exitNotFound
	case errors.Is(err, holding.ErrNotExecutable):
		say(w, "%v", err)
		return exitNotExecutable
	}
	say(w, "%v", err)
	for _, v := range verdicts {
		if errors.Is(err, v.err) {
			if v.next != "" {
				say(w, "%s", v.next)
			}
			return v.code
		}
	}
	return exitFailure
}

// say prints one line for people to standard error.
func say(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "lockstep: "+format+"\n", args...)
}

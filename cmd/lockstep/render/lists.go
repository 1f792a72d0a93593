package render

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"lockstep/client"
)

// Locks is the answer of `lockstep locks`.
type Locks struct {
	Locks []client.LockInfo `json:"locks"`
	Read  client.ReadInfo   `json:"read"`
}

// Sessions is the answer of `lockstep sessions`.
type Sessions struct {
	Sessions []client.SessionInfo `json:"sessions"`
	Read     client.ReadInfo      `json:"read"`
}

// Waiters is the answer of `lockstep waiters`.
type Waiters struct {
	Waiters []client.WaiterInfo `json:"waiters"`
	Read    client.ReadInfo     `json:"read"`
	// Now is the log time at the reading; 0: not known.
	Now client.LogTime `json:"now_ns"`
}

// WriteLocks shows locks. prefix is what was asked for.
func WriteLocks(w io.Writer, f Format, l Locks, prefix string) error {
	if f != Table {
		if l.Locks == nil {
			l.Locks = []client.LockInfo{}
		}
		return document(w, f, l)
	}
	if len(l.Locks) == 0 {
		return say(w, "No lock is held or waited for%s. Take one:\n  lockstep lock %s -- sleep 60\n", below(prefix), example(prefix))
	}
	t := newTable("PATH", "STATE", "MODE", "SESSION>", "TOKEN>", "FLOOR>", "HELD>", "ENDS", "WAITERS>")
	for _, lock := range l.Locks {
		waiters := number(uint64(lock.Waiters))
		for _, h := range lock.Holders {
			t.add(lock.Path, lock.State.String(), h.Mode.String(), number(uint64(h.Session)), h.Token.String(), h.Floor.String(),
				span(lock.Now.Sub(h.SinceTime)), until(h.Until, lock.Now), waiters)
			waiters = ""
		}
		for _, c := range lock.Closures {
			t.add(lock.Path, "CLOSED", c.Mode.String(), "", c.Token.String(), "", "", until(c.Until, lock.Now), waiters)
			waiters = ""
		}
		if len(lock.Holders)+len(lock.Closures) == 0 {
			t.add(lock.Path, lock.State.String(), "", "", "", "", "", "", waiters)
		}
	}
	return withAge(w, t, l.Read)
}

// WriteSessions shows sessions.
func WriteSessions(w io.Writer, f Format, l Sessions) error {
	if f != Table {
		if l.Sessions == nil {
			l.Sessions = []client.SessionInfo{}
		}
		return document(w, f, l)
	}
	if len(l.Sessions) == 0 {
		return say(w, "No session is open. A client opens one when it takes a lock:\n  lockstep lock /demo -- sleep 60\n")
	}
	t := newTable("SESSION>", "STATE", "LABEL", "PRINCIPAL", "TTL>", "GRACE>", "LOCKS>", "WAITING>", "SILENT>")
	for _, s := range l.Sessions {
		state, silent := s.State.String(), ""
		if s.Ended {
			state = "ENDED"
		}
		if s.Silence > 0 {
			silent = span(s.Silence)
		}
		t.add(number(uint64(s.Session)), state, s.Label, s.Principal, span(s.TTL), span(s.Grace),
			number(uint64(s.Grants)), number(uint64(s.Waiters)), silent)
	}
	return withAge(w, t, l.Read)
}

// WriteWaiters shows who waits, in the order in which they will be served.
func WriteWaiters(w io.Writer, f Format, l Waiters, prefix string) error {
	if f != Table {
		if l.Waiters == nil {
			l.Waiters = []client.WaiterInfo{}
		}
		return document(w, f, l)
	}
	if len(l.Waiters) == 0 {
		return say(w, "Nobody waits for a lock%s.\n", below(prefix))
	}
	t := newTable("PATH", "AHEAD>", "MODE", "SESSION>", "WAITER>", "WAITING>", "GIVES UP")
	for _, q := range l.Waiters {
		waiting, ends := "", ""
		if l.Now > 0 {
			waiting, ends = span(l.Now.Sub(q.SinceTime)), until(q.Deadline, l.Now)
		}
		if q.Deadline == 0 {
			ends = "never"
		}
		t.add(q.Path, number(uint64(q.Ahead)), q.Mode.String(), number(uint64(q.Session)), number(uint64(q.Waiter)), waiting, ends)
	}
	return withAge(w, t, l.Read)
}

// withAge says under the table how old it may be, unless it is up to date.
func withAge(w io.Writer, t *table, read client.ReadInfo) error {
	if err := t.write(w); err != nil || read.Linearizable || read.Node == "" {
		return err
	}
	age := "of unknown age"
	if read.Age >= 0 {
		age = "at most " + span(read.Age) + " old"
	}
	return say(w, "\nAs %s knows it at %v, %s.\n", read.Node, read.Position, age)
}

// until prints an instant of log time as seen from now.
func until(t, now client.LogTime) string {
	switch {
	case t == 0:
		return ""
	case t <= now:
		return "now"
	default:
		return "in " + span(t.Sub(now))
	}
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// below is " below /a", or nothing for everything.
func below(prefix string) string {
	if prefix == "" || prefix == "/" {
		return ""
	}
	return " at or below " + prefix
}

func example(prefix string) string {
	if prefix == "" || prefix == "/" {
		return "/demo"
	}
	return strings.TrimSuffix(prefix, "/")
}

func say(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(w, format, args...)
	return err
}

// Seconds prints a duration for a sentence.
func Seconds(d time.Duration) string { return span(d) }

package render

import (
	"fmt"
	"io"
	"strings"

	"lockstep/client"
)

// WriteEvent shows one event of a watch on a line of its own. In JSON it is one
// object a line, in YAML one document.
func WriteEvent(w io.Writer, f Format, e client.Event) error {
	if f != Table {
		return line(w, f, e)
	}
	if e.Kind == client.EventListing {
		if err := say(w, "%-12s %-15s %s\n", e.Position, e.Kind, counted(uint64(len(e.Locks)), "lock")); err != nil {
			return err
		}
		for _, l := range e.Locks {
			if err := say(w, "%-12s %-15s %s\n", "", "  "+strings.ToLower(l.State.String()), lockLine(l)); err != nil {
				return err
			}
		}
		return nil
	}
	return say(w, "%-12s %-15s %s\n", e.Position, e.Kind, eventLine(e))
}

// WriteGap shows that events were missed for good.
func WriteGap(w io.Writer, f Format, gap *client.HistoryGoneError) error {
	if f != Table {
		return line(w, f, struct {
			Kind     string            `json:"kind"`
			Oldest   client.Position   `json:"oldest"`
			Position client.Position   `json:"position"`
			Locks    []client.LockInfo `json:"locks"`
		}{"history gone", gap.Oldest, gap.Position, gap.Locks})
	}
	if err := say(w, "%-12s %-15s events before %v are no longer kept; what is held at %v:\n", gap.Position, "history gone", gap.Oldest, gap.Position); err != nil {
		return err
	}
	for _, l := range gap.Locks {
		if err := say(w, "%-12s %-15s %s\n", "", "  "+strings.ToLower(l.State.String()), lockLine(l)); err != nil {
			return err
		}
	}
	return nil
}

func lockLine(l client.LockInfo) string {
	parts := []string{l.Path}
	for _, h := range l.Holders {
		parts = append(parts, fmt.Sprintf("%v by session %d with token %v", h.Mode, h.Session, h.Token))
	}
	if l.Waiters > 0 {
		parts = append(parts, counted(uint64(l.Waiters), "waiter"))
	}
	return strings.Join(parts, ", ")
}

// eventLine is the rest of an event's line: the path or what else it is about,
// then what the kind sets.
func eventLine(e client.Event) string {
	var b strings.Builder
	word := func(format string, args ...any) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, format, args...)
	}
	if e.Path != "" {
		word("%s", e.Path)
	}
	if e.Mode != 0 {
		word("%v", e.Mode)
	}
	if e.Node != "" {
		word("on %s in term %d", e.Node, e.Term)
	}
	if e.Session != 0 {
		word("session=%d", e.Session)
	}
	if e.Incarnation > 1 {
		word("incarnation=%d", e.Incarnation)
	}
	if e.Principal != "" {
		word("principal=%s", e.Principal)
	}
	if e.Waiter != 0 {
		word("waiter=%d", e.Waiter)
	}
	if e.Token != 0 {
		word("token=%v", e.Token)
	}
	if e.Kind == client.EventGranted {
		word("floor=%v", e.Floor)
	}
	if e.Kind == client.EventReentered || e.Kind == client.EventLeftOnce {
		word("count=%d", e.Count)
	}
	if e.Until != 0 {
		word("ends %s", until(e.Until, e.Time))
	}
	if e.Reason != 0 {
		word("(%v)", e.Reason)
	}
	return b.String()
}

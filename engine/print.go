package engine

import (
	"fmt"
	"strings"
	"time"
)

// printer joins what is set.
type printer struct{ strings.Builder }

func (p *printer) word(format string, args ...any) {
	if p.Len() > 0 {
		p.WriteByte(' ')
	}
	fmt.Fprintf(&p.Builder, format, args...)
}

// number prints name=v unless v is zero.
func (p *printer) number(name string, v uint64) {
	if v != 0 {
		p.word("%s=%d", name, v)
	}
}

// duration prints name=d unless d is zero.
func (p *printer) duration(name string, d time.Duration) {
	if d != 0 {
		p.word("%s=%v", name, d)
	}
}

// text prints a text unless it is empty.
func (p *printer) text(s string) {
	if s != "" {
		p.word("%s", s)
	}
}

func (p *printer) mode(m Mode) {
	if m != 0 {
		p.word("%v", m)
	}
}

// String prints an event: position, kind, and what is set.
func (ev Event) String() string {
	var p printer
	p.word("%v %v", ev.Position, ev.Kind)
	p.text(ev.Path)
	p.mode(ev.Mode)
	p.number("session", uint64(ev.Session))
	p.number("incarnation", uint64(ev.Incarnation))
	p.number("owner", uint64(ev.Owner))
	p.number("token", uint64(ev.Token))
	p.number("floor", uint64(ev.Floor))
	p.number("count", uint64(ev.Count))
	p.number("waiter", uint64(ev.Waiter))
	p.number("sequence", ev.Sequence)
	p.duration("until", time.Duration(ev.Until))
	p.number("term", ev.Term)
	p.text(ev.Name)
	if ev.Reason != 0 {
		p.word("(%v)", ev.Reason)
	}
	return p.String()
}

// String prints a grant: path, mode, and what is set.
func (g Grant) String() string {
	var p printer
	p.text(g.Path)
	p.mode(g.Mode)
	p.number("session", uint64(g.Session))
	p.number("owner", uint64(g.Owner))
	p.number("token", uint64(g.Token))
	p.number("floor", uint64(g.Floor))
	p.number("count", uint64(g.Count))
	p.number("waiter", uint64(g.Waiter))
	p.duration("until", time.Duration(g.Until))
	return p.String()
}

// String prints a waiter: path, mode, and what is set.
func (w Waiter) String() string {
	var p printer
	p.word("waiter=%d %s %v session=%d owner=%d ahead=%d", w.ID, w.Path, w.Mode, w.Session, w.Owner, w.Ahead)
	p.number("sequence", w.Sequence)
	p.duration("deadline", time.Duration(w.Deadline))
	return p.String()
}

// String prints a closure.
func (c Closure) String() string {
	return fmt.Sprintf("%v token=%d until=%v", c.Mode, c.Token, time.Duration(c.Until))
}

// String prints how a wait ended.
func (o WaitOutcome) String() string {
	var p printer
	p.word("waiter=%d sequence=%d at=%v", o.Waiter, o.Sequence, o.Position)
	p.number("token", uint64(o.Token))
	if o.Reason != 0 {
		p.word("(%v)", o.Reason)
	}
	return p.String()
}

// String prints an answer; so do its namesakes.
func (a *OfficeTaken) String() string {
	return fmt.Sprintf("office taken at %v", time.Duration(a.Time))
}

func (a *Opened) String() string {
	return fmt.Sprintf("opened session=%d incarnation=%d ttl=%v grace=%v", a.Session, a.Incarnation, a.TTL, a.Grace)
}

func (a *TakenOver) String() string {
	var p printer
	p.word("taken over incarnation=%d", a.Incarnation)
	p.number("last sequence", a.LastSequence)
	p.duration("embargo", a.Embargo)
	return p.String()
}

func (a *Done) String() string { return "done" }

func (a *Granted) String() string {
	var p printer
	p.word("granted %v", a.Grant)
	p.duration("remaining", a.HoldRemaining)
	return p.String()
}

func (a *Queued) String() string { return fmt.Sprintf("queued waiter=%d ahead=%d", a.Waiter, a.Ahead) }

func (a *Released) String() string { return fmt.Sprintf("released remaining=%d", a.Remaining) }

func (a *Cancelled) String() string {
	var p printer
	p.word("cancelled (%v)", a.Outcome)
	p.text(a.Grant.String())
	p.duration("remaining", a.HoldRemaining)
	return p.String()
}

func (a *Refused) String() string {
	var p printer
	p.word("refused (%v)", a.Reason)
	if a.Reason == ReasonInvalid {
		p.text(a.Detail)
	}
	p.text(a.Limit)
	if a.Holder.Path != "" {
		p.word("holder: %v", a.Holder)
	}
	p.duration("retry after", a.RetryAfter)
	return p.String()
}

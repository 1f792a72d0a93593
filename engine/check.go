package engine

import (
	"fmt"
	"time"
	"unicode/utf8"

	"lockstep/engine/lease"
)

// Check says whether Apply would refuse cmd in whatever state; nil: it would not.
// Nodes ask before they propose. Apply refuses the same things, since a log may
// hold anything. What a command may say is bounded by constants; a partition's
// Limits bound what it keeps, and have no say here so far.
func Check(cmd Command, _ Limits) *Refused {
	what := ""
	switch c := cmd.(type) {
	case *TakeOffice:
		what = firstOf(checkText("node", c.Node, MaxNodeBytes), checkSome("node", len(c.Node) > 0), checkSome("term", c.Term > 0))
	case *Tick:
		what = checkSome("term", c.Term > 0)
	case *OpenSession:
		what = c.check()
	case *TakeOver:
		what = firstOf(
			checkSome("session", c.Session > 0), checkSome("nonce", c.Nonce > 0),
			checkText("principal", c.Principal, MaxPrincipalBytes),
		)
	case *Leave:
		what = c.check()
	case *EndSession:
		what = c.check()
	case *Silent:
		what = firstOf(
			checkSome("term", c.Term > 0), checkSome("session", c.Session > 0),
			checkSpan("observed silence", c.Observed, 1, MaxTTL),
		)
	case *Alive:
		what = firstOf(checkSome("term", c.Term > 0), checkSome("session", c.Session > 0))
	case *ExpireSession:
		what = firstOf(checkSome("term", c.Term > 0), checkSome("session", c.Session > 0))
	case *Acquire:
		what = c.check()
	case *Release:
		if what = c.check(); what == "" {
			what = firstOf(checkSome("owner", c.Owner > 0), checkSome("token", c.Token > 0), checkPath(c.Path))
		}
	case *Cancel:
		if what = c.Request.check(); what == "" {
			what = c.check()
		}
	default:
		bug("command %T is not of the closed set", c)
	}
	if what == "" {
		return nil
	}
	return &Refused{Reason: ReasonInvalid, Detail: what}
}

// firstOf returns the first complaint.
func firstOf(complaints ...string) string {
	for _, c := range complaints {
		if c != "" {
			return c
		}
	}
	return ""
}

func checkSome(name string, ok bool) string {
	if ok {
		return ""
	}
	return "no " + name + " is given"
}

func checkText(name, text string, limit int) string {
	switch {
	case len(text) > limit:
		return fmt.Sprintf("the %s has %d bytes, at most %d are allowed", name, len(text), limit)
	case !utf8.ValidString(text):
		return "the " + name + " is not valid UTF-8"
	default:
		return ""
	}
}

func checkSpan(name string, d, low, high time.Duration) string {
	if d < low || d > high {
		return fmt.Sprintf("the %s is %v: want %v to %v", name, d, low, high)
	}
	return ""
}

func checkPath(path string) string {
	if err := CheckPath(path); err != nil {
		return err.Error()
	}
	return ""
}

func (r *Request) check() string {
	switch {
	case r.Session == 0:
		return "no session is given"
	case r.Incarnation == 0:
		return "no incarnation is given"
	case r.Sequence == 0 || r.Sequence > MaxSequence:
		return fmt.Sprintf("the sequence is %d: want 1 to %d", r.Sequence, uint64(MaxSequence))
	case r.AckedThrough >= r.Sequence:
		return fmt.Sprintf("the request of sequence %d acknowledges its own answer", r.Sequence)
	default:
		return ""
	}
}

func (c *OpenSession) check() string {
	if what := checkSpan("TTL", c.TTL, MinTTL, MaxTTL); what != "" {
		return what
	}
	if c.Grace < lease.MinGrace(c.TTL) || c.Grace >= c.TTL {
		return fmt.Sprintf("the grace is %v: with a TTL of %v want at least %v, so that clocks may differ in rate, and less than the TTL",
			c.Grace, c.TTL, lease.MinGrace(c.TTL))
	}
	return firstOf(
		checkSome("secret", c.SecretHash != [32]byte{}),
		checkText("principal", c.Principal, MaxPrincipalBytes),
		checkText("label", c.Label, MaxLabelBytes),
	)
}

func (c *Acquire) check() string {
	switch {
	case c.Owner == 0:
		return "no owner is given"
	case !c.Mode.Valid():
		return fmt.Sprintf("there is no mode %d", uint8(c.Mode))
	case c.Wait != NoWait && c.Wait != WaitForever:
		if what := checkSpan("wait", time.Duration(c.Wait), MinWait, MaxWait); what != "" {
			return what
		}
	}
	if c.Hold != 0 {
		if what := checkSpan("hold", c.Hold, MinHold, MaxHold); what != "" {
			return what
		}
	}
	if what := checkSpan("delay", c.Delay, 0, MaxDelay); what != "" {
		return what
	}
	if what := c.Request.check(); what != "" {
		return what
	}
	return checkPath(c.Path)
}

func (c *Cancel) check() string {
	switch {
	case c.Target == 0 || c.Target > MaxSequence:
		return fmt.Sprintf("the cancelled sequence is %d: want 1 to %d", c.Target, uint64(MaxSequence))
	case c.Target == c.Sequence:
		return "the request cancels itself"
	default:
		return ""
	}
}

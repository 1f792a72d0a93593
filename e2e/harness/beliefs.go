//go:build unix

package harness

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"lockstep"
)

// Belief is an interval of true time in which a client believed to hold a lock
// exclusively: all are recorded by one process, on one clock.
type Belief struct {
	Path       string
	Client     string
	Token      lockstep.Token
	Floor      lockstep.Token
	Begin, End time.Time
}

// Beliefs records intervals. It may be used from any goroutine.
type Beliefs struct {
	mu  sync.Mutex
	all []Belief
}

// Hold watches a grant for as long as the client wants to hold it, and records
// for how long the client could believe in it: until now, or until its belief
// ended. Call it right after the acquire, and release right after it.
func (b *Beliefs) Hold(client string, g *lockstep.Grant, d time.Duration) (held bool) {
	record := Belief{Path: g.Path(), Client: client, Token: g.Token(), Floor: g.Floor(), Begin: time.Now()}
	until := g.HeldUntil()
	release := time.NewTimer(d)
	defer release.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for wanted := true; wanted; {
		select {
		case <-release.C:
			wanted = false
		case <-look.C:
		}
		if u := g.HeldUntil(); !u.IsZero() {
			until = u
		}
		if held = g.Held(); !held {
			break
		}
	}
	record.End = time.Now()
	if !held && until.Before(record.End) {
		record.End = until
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, record)
	return held
}

// All are the intervals so far.
func (b *Beliefs) All() []Belief {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

// Check tells the first violation: two clients that believed in one lock at the
// same time, a token given twice, or a later holder with a smaller token.
func (b *Beliefs) Check() error {
	all := b.All()
	seen := map[lockstep.Token]Belief{}
	for _, x := range all {
		if y, twice := seen[x.Token]; twice {
			return fmt.Errorf("token %v was given twice: %v and %v", x.Token, y, x)
		}
		seen[x.Token] = x
	}
	slices.SortFunc(all, func(x, y Belief) int {
		return cmp.Or(cmp.Compare(x.Path, y.Path), x.Begin.Compare(y.Begin))
	})
	for i := 1; i < len(all); i++ {
		x, y := all[i-1], all[i]
		switch {
		case x.Path != y.Path:
		case y.Begin.Before(x.End):
			return fmt.Errorf("two holders for %v: %v and %v", x.End.Sub(y.Begin), x, y)
		case y.Token <= x.Token:
			return fmt.Errorf("the token did not rise: %v then %v", x, y)
		case y.Floor < x.Token:
			return fmt.Errorf("the floor is below an earlier exclusive grant: %v then %v", x, y)
		}
	}
	return nil
}

// String prints the interval for a failure's report.
func (x Belief) String() string {
	return fmt.Sprintf("%s by %s with token %v floor %v from %s to %s", x.Path, x.Client, x.Token, x.Floor,
		x.Begin.Format("15:04:05.000000"), x.End.Format("15:04:05.000000"))
}

package fence

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lockstep/client"
)

var (
	// ErrStale is wrapped by the *StaleError that refuses a write of the past.
	ErrStale = errors.New("fence: the lock has passed on since")
	// ErrInvalid: a resource without a name, a token of 0, or a floor that is not
	// below its token. No grant carries such.
	ErrInvalid = errors.New("fence: invalid resource, token or floor")
	// ErrConflict: another transaction created the resource's row at the same time.
	// Roll back and try again. Only from SQL.
	ErrConflict = errors.New("fence: another transaction was faster; roll back and try again")
)

// StaleError says which write was refused. It wraps ErrStale.
type StaleError struct {
	Resource string
	// Token of the write, and the Highest floor that the guard had seen.
	Token, Highest client.Token
}

// Error tells the numbers.
func (e *StaleError) Error() string {
	return fmt.Sprintf("%v: token %d is not above the floor %d seen at %q; the writer must stop", ErrStale, e.Token, e.Highest, e.Resource)
}

// Unwrap makes errors.Is(err, ErrStale) true.
func (e *StaleError) Unwrap() error { return ErrStale }

// Store keeps the highest floor of each resource.
type Store interface {
	// Raise sets the resource's floor to the larger of its present one and floor,
	// and returns it, in one atomic step that is durable when Raise returns. A
	// resource that was never heard of has the floor 0.
	Raise(ctx context.Context, resource string, floor client.Token) (highest client.Token, err error)
}

// Guard refuses writes of the past. Its methods may be called from any goroutine,
// and any number of guards may share a Store.
type Guard struct {
	store Store
	// busy serialises Do per resource, within this guard.
	busy locks
}

// New returns a guard that remembers in store.
func New(store Store) *Guard { return &Guard{store: store, busy: locks{held: make(map[string]*entry)}} }

// Check notes the floor, and refuses the write with a *StaleError if its token is
// not above the highest floor seen: the floor is itself the token of a grant that
// the later one excludes. Any other error means that nothing is known: do
// not write then, either.
func (g *Guard) Check(ctx context.Context, resource string, token, floor client.Token) error {
	if err := valid(resource, token, floor); err != nil {
		return err
	}
	highest, err := g.store.Raise(ctx, resource, floor)
	if err != nil {
		return fmt.Errorf("fence: check token %d at %q: %w", token, resource, err)
	}
	return judge(resource, token, highest)
}

// Install is the write barrier: it shuts out every earlier incompatible holder
// before the new one has written anything. It refuses as Check does a holder that
// is itself of the past.
func (g *Guard) Install(ctx context.Context, resource string, token, floor client.Token) error {
	return g.Check(ctx, resource, token, floor)
}

// Do checks and then writes, while no other Do of this guard writes to the
// resource, so that nothing comes between the check and the write. It covers the
// writers that go through this guard; a resource with writers in several
// processes needs a check inside its own transactions.
func (g *Guard) Do(ctx context.Context, resource string, token, floor client.Token, write func(context.Context) error) error {
	unlock, err := g.busy.lock(ctx, resource)
	if err != nil {
		return err
	}
	defer unlock()
	if err := g.Check(ctx, resource, token, floor); err != nil {
		return err
	}
	return write(ctx)
}

func valid(resource string, token, floor client.Token) error {
	switch {
	case resource == "":
		return fmt.Errorf("%w: the resource has no name", ErrInvalid)
	case token == 0:
		return fmt.Errorf("%w: no grant has token 0", ErrInvalid)
	case floor >= token:
		return fmt.Errorf("%w: floor %d is not below token %d", ErrInvalid, floor, token)
	}
	return nil
}

func judge(resource string, token, highest client.Token) error {
	if token <= highest {
		return &StaleError{Resource: resource, Token: token, Highest: highest}
	}
	return nil
}

// locks are mutexes by name that exist while somebody wants them.
type locks struct {
	mu   sync.Mutex
	held map[string]*entry
}

type entry struct {
	wanted int
	// free has one element while nobody is inside.
	free chan struct{}
}

func (l *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	e := l.held[name]
	if e == nil {
		e = &entry{free: make(chan struct{}, 1)}
		e.free <- struct{}{}
		l.held[name] = e
	}
	e.wanted++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if e.wanted--; e.wanted == 0 {
			delete(l.held, name)
		}
	}
	select {
	case <-e.free:
		return func() { e.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

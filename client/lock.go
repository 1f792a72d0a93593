package client

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Lock is a handle on one lock for one owner. Two handles are two owners unless
// told otherwise, and exclude each other even within a session. A handle may be
// acquired again while it holds: the possession is one and the same, with one
// token, and must be released as often. Its methods may be called from any
// goroutine, but an owner waits for a lock only once at a time.
type Lock struct {
	session *Session
	path    string
	options lockOptions

	mu sync.Mutex
	// grants that were acquired through this handle and not released.
	grants []*Grant
}

// Lock is a handle on the lock at path, such as "/orders/eu/42". It asks nothing
// of the service: a path or option that makes no sense is refused by Acquire.
func (s *Session) Lock(path string, opts ...LockOption) *Lock {
	l := &Lock{session: s, path: path, options: lockOptions{mode: ModeExclusive}}
	for _, o := range opts {
		o(&l.options)
	}
	if l.options.owner == 0 {
		l.options.owner = s.newOwner()
	}
	return l
}

func (s *Session) newOwner() OwnerID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextOwner++
	return s.nextOwner
}

// Path names the lock.
func (l *Lock) Path() string { return l.path }

// Session is the session that the handle belongs to.
func (l *Lock) Session() *Session { return l.session }

// Owner is who holds through this handle.
func (l *Lock) Owner() OwnerID { return l.options.owner }

// Acquire waits until the lock is granted and believed in, in fair order. It
// survives reconnects and changes of leader.
//
// When ctx ends first, the request is withdrawn, and the error wraps the
// context's: ErrTimeout when the service confirmed that nothing is held, else
// ErrOutcomeUnknown; then it is withdrawn, or released, in the background. Other
// errors: ErrTimeout and ErrHeld with WithWait, ErrUnavailable, ErrOutcomeUnknown,
// ErrSessionExpired, ErrSuperseded, ErrResourceExhausted, ErrInvalid,
// ErrConversion, ErrAlreadyWaiting, and ErrLost when the grant had ended before
// it was heard of.
func (l *Lock) Acquire(ctx context.Context, opts ...AcquireOption) (*Grant, error) {
	options := acquireOptions{wait: -1}
	for _, o := range opts {
		o(&options)
	}
	if err := l.check(ctx); err != nil {
		return nil, err
	}
	a := newAcquire(l, options.wait)
	if err := l.session.begin(a); err != nil {
		return nil, err
	}
	select {
	case <-a.ready:
	case <-ctx.Done():
		a.withdraw(ctx)
	}
	if a.err != nil {
		return nil, a.err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grants = append(l.grants, a.grant)
	return a.grant, nil
}

// TryAcquire takes the lock if it can be had at once, else it returns ErrHeld.
func (l *Lock) TryAcquire(ctx context.Context) (*Grant, error) {
	return l.Acquire(ctx, WithWait(0))
}

// Release undoes this handle's latest acquire that has not been released:
// ErrNotHeld if there is none.
func (l *Lock) Release(ctx context.Context) error {
	g := l.latest()
	if g == nil {
		return &Error{Op: "release", Path: l.path, Err: ErrNotHeld}
	}
	return g.Release(ctx)
}

func (l *Lock) latest() *Grant {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.grants) == 0 {
		return nil
	}
	return l.grants[len(l.grants)-1]
}

// forget removes a grant that was released.
func (l *Lock) forget(g *Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, held := range l.grants {
		if held == g {
			l.grants = append(l.grants[:i], l.grants[i+1:]...)
			return
		}
	}
}

// check refuses what would not fit into a frame or can be seen to be wrong
// without asking. All else is for the service to judge.
func (l *Lock) check(ctx context.Context) error {
	detail := ""
	switch {
	case ctx.Err() != nil:
		return &Error{Op: "acquire", Path: l.path, Err: ErrTimeout, Detail: "the context had ended before anything was asked", Cause: context.Cause(ctx)}
	case !strings.HasPrefix(l.path, "/"):
		detail = fmt.Sprintf("path %q does not begin with a slash", l.path)
	case len(l.path) > MaxText:
		detail = fmt.Sprintf("the path has %d bytes, more than %d", len(l.path), MaxText)
	case l.options.hold < 0:
		detail = fmt.Sprintf("the hold is %v, negative", l.options.hold)
	case l.options.delay < 0:
		detail = fmt.Sprintf("the delay is %v, negative", l.options.delay)
	}
	if detail != "" {
		return &Error{Op: "acquire", Path: l.path, Err: ErrInvalid, Detail: detail}
	}
	return nil
}

// Grant is one acquisition of a lock. Its methods may be called from any
// goroutine.
type Grant struct {
	session *Session
	lock    *Lock // nil after a take-over
	held    *held

	// Guarded by Session.mu.
	release *release
}

// Path names the lock.
func (g *Grant) Path() string { return g.held.info.Path }

// Mode is how the lock is held.
func (g *Grant) Mode() Mode { return g.held.info.Mode }

// Token rises with every grant of the partition. Pass it with every write to the
// resource that the lock protects.
func (g *Grant) Token() Token { return g.held.info.Token }

// Floor is the last token of an incompatible grant before this one. The resource
// may refuse every write whose token is not above it.
func (g *Grant) Floor() Token { return g.held.info.Floor }

// Owner is who holds.
func (g *Grant) Owner() OwnerID { return g.held.info.Owner }

// Session is whose grant it is.
func (g *Grant) Session() *Session { return g.session }

// Held tells whether this process may act on the grant now.
func (g *Grant) Held() bool { return !g.HeldUntil().IsZero() }

// HeldUntil is until when this process may act on the grant, as far as is known
// now: an instant of this process's clock, zero when it may not. Heartbeats move
// it on; a suspended machine, a wall clock set forward, or a release bring it
// nearer.
func (g *Grant) HeldUntil() time.Time {
	s := g.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.release != nil {
		return time.Time{}
	}
	now := s.client.now()
	return until(now, s.leftLocked(g.held, now))
}

// Context ends when belief in the grant ends, with a cause that says why: an
// *Error with ErrLost, or ErrReleased. It may lag by a scheduling delay: whoever
// must be certain asks Held just before acting, and lets the resource check
// Token and Floor. A context that has ended never comes back; after jeopardy has
// passed, Context returns a new one.
func (g *Grant) Context() context.Context {
	s := g.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.release != nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(ErrReleased)
		return ctx
	}
	return s.contextLocked(g.held, s.client.now())
}

// String names the grant for logs.
func (g *Grant) String() string {
	return fmt.Sprintf("%s %s token %d floor %d", g.Path(), g.Mode(), g.Token(), g.Floor())
}

package client

import (
	"context"
	"errors"
	"sync"
)

// Do runs fn while holding lock. fn's context ends with ctx and when belief in
// the grant ends, with the cause that Grant.Context has. The lock is released
// afterwards, also after a panic, and ctx's end does not keep it from being
// released. The error is that of Acquire, or fn's joined with that of the
// release; a release whose answer is still to come is no error, since belief has
// ended and the service is told in the background.
func Do(ctx context.Context, lock *Lock, fn func(context.Context, *Grant) error, opts ...AcquireOption) (err error) {
	g, err := lock.Acquire(ctx, opts...)
	if err != nil {
		return err
	}
	held, cancel := context.WithCancelCause(ctx)
	belief := g.Context()
	stop := context.AfterFunc(belief, func() { cancel(context.Cause(belief)) })
	defer func() {
		stop()
		cancel(ErrReleased)
		released := g.Release(context.WithoutCancel(ctx))
		if errors.Is(released, ErrOutcomeUnknown) {
			released = nil
		}
		err = errors.Join(err, released)
	}()
	return fn(held, g)
}

// Locker is a sync.Locker on a lock of the service, for code that knows no
// errors. Every Lock call is an owner of its own, so a Locker may be shared by
// goroutines as a sync.Mutex is, and is not reentrant.
//
// Lock blocks as long as it takes, through changes of leader and outages. When it
// can never succeed, since the session is over or the request is refused for
// good, it panics with the *Error: to go on as if locked would be wrong, and to
// block for ever would hide it. Code that can handle errors should use Lock
// handles instead.
type Locker struct {
	session *Session
	path    string
	opts    []LockOption

	mu sync.Mutex
	// grants of the Lock calls that were not unlocked: more than one only with
	// Shared.
	grants []*Grant
}

var _ sync.Locker = (*Locker)(nil)

// Locker returns a sync.Locker on the lock at path. The option Owner is of no use
// here and is overridden.
func (s *Session) Locker(path string, opts ...LockOption) *Locker {
	return &Locker{session: s, path: path, opts: opts}
}

// Lock blocks until the lock is granted. It panics with an *Error when that can
// never be.
func (l *Locker) Lock() {
	lock := l.session.Lock(l.path, append(l.opts[:len(l.opts):len(l.opts)], Owner(l.session.newOwner()))...)
	for tries := 0; ; tries++ {
		g, err := lock.Acquire(context.Background())
		switch {
		case err == nil:
			l.mu.Lock()
			l.grants = append(l.grants, g)
			l.mu.Unlock()
			return
		case !retryable(err):
			panic(err)
		}
		l.session.client.pause(l.session.ctx, tries)
	}
}

// retryable tells whether trying the same again may succeed.
func retryable(err error) bool {
	return (errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown) ||
		errors.Is(err, ErrResourceExhausted) || errors.Is(err, ErrLost)) &&
		!errors.Is(err, ErrSessionExpired) && !errors.Is(err, ErrSuperseded) && !errors.Is(err, ErrClosed)
}

// Unlock releases the lock; it does not wait for the service's answer. Belief that
// was lost meanwhile goes unnoticed here: ask Grant before unlocking. Unlocking
// what is not locked panics, as with sync.Mutex.
func (l *Locker) Unlock() {
	l.mu.Lock()
	last := len(l.grants) - 1
	if last < 0 {
		l.mu.Unlock()
		panic("lockstep: unlock of unlocked Locker " + l.path)
	}
	g := l.grants[last]
	l.grants = l.grants[:last]
	l.mu.Unlock()
	// The release is issued before its answer is waited for; an ended context
	// leaves the waiting out.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = g.Release(ended)
}

// Grant is the grant of the latest Lock call that has not been unlocked, or nil.
func (l *Locker) Grant() *Grant {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.grants) == 0 {
		return nil
	}
	return l.grants[len(l.grants)-1]
}

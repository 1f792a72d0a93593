package client

import (
	"context"
	"iter"
	"sync"
	"time"
)

// Client keeps the connections to one cluster. Its methods may be called from
// any goroutine.
type Client struct{}

// Open connects to the cluster and returns when a node has answered, or ctx ended.
func Open(ctx context.Context, cfg Config, deps Deps) (*Client, error) { panic("skeleton") }

// Close lowers every belief, abandons the sessions (they expire after their TTL
// unless they were ended) and closes the connections.
func (c *Client) Close() error { panic("skeleton") }

// Cluster is the name of the cluster, Lineage its current lineage.
func (c *Client) Cluster() string { panic("skeleton") }

// Lineage is the lineage that the cluster has told last.
func (c *Client) Lineage() uint64 { panic("skeleton") }

// Members are the nodes that the cluster has told of last.
func (c *Client) Members() []Member { panic("skeleton") }

// NewSession opens a session and keeps it alive until it is ended or the client closed.
func (c *Client) NewSession(ctx context.Context, opts ...SessionOption) (*Session, error) {
	panic("skeleton")
}

// TakeOver continues a session in this process and shuts the process that had it out.
func (c *Client) TakeOver(ctx context.Context, credential Credential) (*Session, error) {
	panic("skeleton")
}

// ListLocks lists the locks below prefix in order of path.
func (c *Client) ListLocks(ctx context.Context, prefix string, opts ...ReadOption) iter.Seq2[LockInfo, error] {
	panic("skeleton")
}

// ListSessions lists the sessions in order of id.
func (c *Client) ListSessions(ctx context.Context, opts ...ReadOption) iter.Seq2[SessionInfo, error] {
	panic("skeleton")
}

// ListWaiters lists the waiters below prefix in order of path and waiter.
func (c *Client) ListWaiters(ctx context.Context, prefix string, opts ...ReadOption) iter.Seq2[WaiterInfo, error] {
	panic("skeleton")
}

// Status asks the node at endpoint about itself; empty: the node that this
// client is connected to.
func (c *Client) Status(ctx context.Context, endpoint string) (Status, error) { panic("skeleton") }

// Watch yields what happens to the locks at and below prefix.
func (c *Client) Watch(ctx context.Context, prefix string, opts ...WatchOption) iter.Seq2[Event, error] {
	panic("skeleton")
}

// Credential is what another process needs to take a session over. Keep it secret.
type Credential struct {
	Lineage     uint64    `json:"lineage"`
	Session     SessionID `json:"session"`
	Incarnation uint32    `json:"incarnation"`
	Secret      []byte    `json:"secret"`
}

// Session is a client's life on the service.
type Session struct{}

// SessionEvent is a change of a session's state.
type SessionEvent struct {
	State State
	// At is when it was noticed, on the process's clock.
	At time.Time
	// Cause says why, with StateExpired and StateJeopardy.
	Cause error
}

// ID names the session.
func (s *Session) ID() SessionID { panic("skeleton") }

// TTL is how long after the last heartbeat the service frees what the session holds.
func (s *Session) TTL() time.Duration { panic("skeleton") }

// Grace is the last part of the TTL, in which the client no longer believes.
func (s *Session) Grace() time.Duration { panic("skeleton") }

// State is ALIVE while the client believes in the session.
func (s *Session) State() State { panic("skeleton") }

// BelievesUntil is until when the client believes in the session.
func (s *Session) BelievesUntil() time.Time { panic("skeleton") }

// Context ends when the session is over for this client; context.Cause says why.
func (s *Session) Context() context.Context { panic("skeleton") }

// Events delivers the current state, then each change, and is closed after EXPIRED.
func (s *Session) Events() <-chan SessionEvent { panic("skeleton") }

// Credential is what another process needs to take the session over.
func (s *Session) Credential() Credential { panic("skeleton") }

// Grants are handles on what the session holds, in order of token.
func (s *Session) Grants() []*Grant { panic("skeleton") }

// End releases everything and ends the session.
func (s *Session) End(ctx context.Context) error { panic("skeleton") }

// Leave leaves the session, with what it holds, to a process that takes it over.
func (s *Session) Leave(ctx context.Context) error { panic("skeleton") }

// Lock is a handle on the lock at path.
func (s *Session) Lock(path string, opts ...LockOption) *Lock { panic("skeleton") }

// Locker is a sync.Locker on the lock at path.
func (s *Session) Locker(path string, opts ...LockOption) *Locker { panic("skeleton") }

// Lock is a handle on one lock for one owner.
type Lock struct{}

// Path names the lock.
func (l *Lock) Path() string { panic("skeleton") }

// Acquire waits until the lock is granted.
func (l *Lock) Acquire(ctx context.Context, opts ...AcquireOption) (*Grant, error) { panic("skeleton") }

// TryAcquire takes the lock if it is free; else it returns ErrHeld.
func (l *Lock) TryAcquire(ctx context.Context) (*Grant, error) { panic("skeleton") }

// Release undoes this handle's last acquire that stands.
func (l *Lock) Release(ctx context.Context) error { panic("skeleton") }

// Grant is one acquisition of a lock.
type Grant struct{}

// Path names the lock.
func (g *Grant) Path() string { panic("skeleton") }

// Mode is how the lock is held.
func (g *Grant) Mode() Mode { panic("skeleton") }

// Token rises with every grant of the partition.
func (g *Grant) Token() Token { panic("skeleton") }

// Floor is the last token of an incompatible grant before this one.
func (g *Grant) Floor() Token { panic("skeleton") }

// Owner is who holds.
func (g *Grant) Owner() OwnerID { panic("skeleton") }

// Session is whose grant it is.
func (g *Grant) Session() *Session { panic("skeleton") }

// Held tells whether this process may act on the grant now.
func (g *Grant) Held() bool { panic("skeleton") }

// HeldUntil is until when, as far as is known now, this process may act on the
// grant: an instant of this process's clock; zero when it may not.
func (g *Grant) HeldUntil() time.Time { panic("skeleton") }

// Context ends when belief in the grant does; context.Cause says why.
func (g *Grant) Context() context.Context { panic("skeleton") }

// Validate asks the service whether the grant stands: a linearizable read.
func (g *Grant) Validate(ctx context.Context) error { panic("skeleton") }

// Release gives the acquisition back.
func (g *Grant) Release(ctx context.Context) error { panic("skeleton") }

// Do runs fn while holding lock, with a context that ends when belief does.
func Do(ctx context.Context, lock *Lock, fn func(context.Context, *Grant) error, opts ...AcquireOption) error {
	panic("skeleton")
}

// Locker is a sync.Locker whose every Lock call is an owner of its own.
type Locker struct{}

var _ sync.Locker = (*Locker)(nil)

// Lock blocks until the lock is granted.
func (l *Locker) Lock() { panic("skeleton") }

// Unlock releases the lock.
func (l *Locker) Unlock() { panic("skeleton") }

// Grant is the grant of the Lock call that has not been unlocked yet, or nil.
func (l *Locker) Grant() *Grant { panic("skeleton") }

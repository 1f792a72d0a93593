// Package client is the Go client of the Lockstep lock service: it decides what
// its process may believe about the locks it holds, and refuses to believe
// anything that the service might already think otherwise about.
//
// A [Client] keeps a few connections to the cluster, finds the leader, and
// repeats what was interrupted so that each request takes effect once. A
// [Session] is the client's life on the service; it is kept alive by heartbeats
// in the background. A [Lock] is a handle on a path, and a [Grant] is the
// possession of a lock:
//
//	session, err := c.NewSession(ctx)
//	lock := session.Lock("/orders/eu/42")
//	grant, err := lock.Acquire(ctx)
//	if err != nil {
//		return err
//	}
//	defer grant.Release(context.WithoutCancel(ctx))
//	return write(grant.Context(), grant.Token(), grant.Floor())
//
// # Belief
//
// Holding a lock is a matter of time: a client that was cut off must stop acting
// before the service gives the lock to somebody else. The client therefore
// believes in its grants only for so long after sending a heartbeat that was
// acknowledged, on its own clocks, and without any clock being synchronised
// with any other. [Grant.Held] and [Grant.HeldUntil] answer at the moment of the
// question; [Grant.Context] ends when belief does. A process that is stopped
// between the question and the act is protected only by fencing: pass
// [Grant.Token] and [Grant.Floor] to the resource and let package
// lockstep/client/fence check them there.
//
// When belief ends the session is in JEOPARDY: the client may not act, but the
// locks are still its own for the grace that is left, and come back with the
// first acknowledged heartbeat. Contexts that ended stay ended; ask
// [Grant.Context] for a fresh one after the session is ALIVE again.
//
// # Errors
//
// Every error can be tested with errors.Is against the sentinels of this package
// and, for its details, with errors.As against [*Error].
//
// The package takes a transport.Network and three clocks; it opens no socket and
// no file. Package lockstep, at the module's root, brings QUIC and certificates.
package client

package peers

import (
	"context"
	"fmt"
	"time"

	"lockstep/transport"
)

// run keeps the link connected until ctx ends.
func (l *link) run(ctx context.Context) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		if conn := l.current(); conn != nil {
			pause = 0
			l.watch(ctx, conn)
			continue
		}
		if l.m.cfg.Node > l.node && pause == 0 && l.wait(ctx, l.m.cfg.DialGrace) {
			continue
		}
		err := l.dial(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		pause = min(max(2*pause, l.m.cfg.BackoffMin), l.m.cfg.BackoffMax)
		l.fail(err, pause)
		l.wait(ctx, l.m.jitter(pause))
		l.fail(nil, 0)
	}
}

// watch returns when the connection is lost or replaced.
func (l *link) watch(ctx context.Context, conn transport.Conn) {
	select {
	case <-conn.Context().Done():
		if ctx.Err() == nil {
			l.m.deps.Logger.Info("lost a node", "node", l.node, "reason", context.Cause(conn.Context()))
		}
	case <-ctx.Done():
	}
}

// wait returns true if a connection appeared within d.
func (l *link) wait(ctx context.Context, d time.Duration) bool {
	timer := l.m.deps.Clocks.Mono.NewTimer(d)
	defer timer.Stop()
	for {
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		if l.current() != nil {
			return true
		}
		select {
		case <-changed:
		case <-timer.Chan():
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// dial makes one attempt.
func (l *link) dial(ctx context.Context) error {
	l.m.counts.dials.Add(1)
	l.mu.Lock()
	address := l.address
	l.mu.Unlock()
	conn, err := l.connect(ctx, address)
	if err != nil {
		l.m.counts.dialFailures.Add(1)
		return err
	}
	if !l.adopt(conn, l.m.cfg.Node < l.node /* dialedByLower */) {
		conn.Close("connected already")
		return nil
	}
	l.m.deps.Logger.Info("connected to a node", "node", l.node, "address", address)
	l.m.serve(conn)
	return nil
}

func (l *link) connect(ctx context.Context, address string) (transport.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := l.m.deps.Clocks.Mono.AfterFunc(l.m.cfg.DialTimeout, func() {
		cancel(fmt.Errorf("no answer from %s within %v", address, l.m.cfg.DialTimeout))
	})
	defer timer.Stop()
	conn, err := l.m.deps.Network.Dial(ctx, address)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	if node := conn.Peer().Node; node != l.node {
		conn.Close("this is not the node that was meant")
		return nil, fmt.Errorf("%w: %s is %q, not node %s", ErrWrongNode, address, conn.Peer().Principal, l.node)
	}
	return conn, nil
}

// fail notes why the link is not connected; nil: a dial is under way.
func (l *link) fail(err error, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A node that is down for an hour is one line in the log, not thousands.
	if err != nil && pause == l.m.cfg.BackoffMin {
		l.m.deps.Logger.Warn("cannot connect to a node, trying on", "node", l.node, "address", l.address, "error", err)
	}
	l.failure = err
	l.signal()
}

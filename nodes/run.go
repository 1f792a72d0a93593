package nodes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep/nodes/raftwire"
)

// lookAtMembers is how often the node looks for members that joined or left, to
// connect to them.
const lookAtMembers = 500 * time.Millisecond

// Run opens Raft, serves until ctx ends, and stops cleanly: leadership is handed
// over, what is under way is finished or of unknown outcome to who asked. If the
// cause of ctx is ErrAtOnce, it stops without all that. It returns nil after a
// stop that was asked for, or why the node could not start or go on. A Node runs
// once.
func (n *Node) Run(ctx context.Context) error {
	defer n.end()
	// First of all, so that nothing is touched when the port is taken.
	listener, err := n.deps.Network.Listen(n.cfg.Listen)
	if err != nil {
		return fmt.Errorf("nodes: listen: %w", err)
	}
	raft, err := raftwire.Open(n.cfg.raft(), raftwire.Deps{
		Peers: n.peers, Stores: n.deps.Stores, Machine: n.replica,
		Clocks: n.deps.Clocks, Logger: n.deps.Logger, Halt: n.deps.Halt,
	})
	if err != nil {
		listener.Close()
		n.peers.Close()
		return fmt.Errorf("nodes: %w", err)
	}
	n.raft.Store(raft)
	n.server.Start(raft, n.asker)

	group, serving := errgroup.WithContext(n.lifetime)
	group.Go(func() error { return n.peers.Serve(serving, listener) })
	group.Go(func() error {
		n.office.Run(serving, raft)
		return nil
	})
	group.Go(func() error {
		n.followMembers(serving, raft)
		return nil
	})
	err = n.bootstrap(raft)
	if err == nil {
		n.running.Store(true)
		n.deps.Logger.Info("node runs", "address", listener.Addr(), "term", raft.Term())
		select {
		case <-ctx.Done():
		case <-serving.Done():
		}
	}
	n.running.Store(false)
	return errors.Join(err, n.stop(ctx, raft), group.Wait())
}

// bootstrap gives a new cluster its first configuration.
func (n *Node) bootstrap(raft *raftwire.Raft) error {
	if len(n.cfg.Members) == 0 {
		return nil
	}
	if err := raft.Bootstrap(n.cfg.servers()); err != nil && !errors.Is(err, raftwire.ErrHasState) {
		return fmt.Errorf("nodes: first configuration: %w", err)
	}
	return nil
}

// stop hands leadership over, unless told to stop at once, and ends everything.
// That the others are not there to hand it to is no error: nothing is lost.
func (n *Node) stop(ctx context.Context, raft *raftwire.Raft) error {
	stopping, cancel := n.timeout(n.cfg.StopTimeout)
	defer cancel()
	atOnce := errors.Is(context.Cause(ctx), ErrAtOnce)
	if !atOnce && raft.Leading() && len(raft.Voters()) > 1 {
		handing, cancel := n.timeout(n.cfg.StopTimeout / 2)
		if err := raft.Transfer(handing, "" /* whoever is best */); err != nil {
			n.deps.Logger.Warn("leadership was not handed over", "reason", err)
		}
		cancel()
	}
	// Streams end first: Raft must not wait for answers that nobody reads, and
	// clients find another node.
	n.peers.Close()
	n.end()
	err := raft.Shutdown(stopping)
	n.deps.Logger.Info("node stopped", "at_once", atOnce)
	if err != nil {
		return fmt.Errorf("nodes: stop: %w", err)
	}
	return nil
}

// timeout is a context that ends after d on the node's clock.
func (n *Node) timeout(d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	timer := n.deps.Clocks.Mono.AfterFunc(d, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// followMembers keeps the connections to the members of the latest configuration;
// before there is one, to those of the first.
func (n *Node) followMembers(ctx context.Context, raft *raftwire.Raft) {
	ticker := n.deps.Clocks.Mono.NewTicker(lookAtMembers)
	defer ticker.Stop()
	var known map[string]string
	for {
		now := n.members(raft)
		if !maps.Equal(now, known) {
			n.peers.SetMembers(now)
			known = now
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.Chan():
		}
	}
}

func (n *Node) members(raft *raftwire.Raft) map[string]string {
	members := raft.Members()
	if len(members) == 0 {
		return n.cfg.Members
	}
	addresses := make(map[string]string, len(members))
	for _, m := range members {
		addresses[m.Node] = m.Address
	}
	return addresses
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/client/belief"
)

// Client keeps the connections to one cluster. Its methods may be called from
// any goroutine.
type Client struct {
	cfg   Config
	deps  Deps
	dice  *dice
	log   *slog.Logger
	links []*link

	ctx  context.Context
	stop context.CancelCauseFunc
	// running counts the client's goroutines that Close waits for.
	running sync.WaitGroup
	// closing makes Deps.Closed be called once.
	closing sync.Once

	mu      sync.Mutex
	cluster string
	lineage uint64
	leader  *lockstepv1.Member
	members []*lockstepv1.Member
	nextKey int
}

// Open connects to the cluster and returns when a node has answered. It fails
// with ErrUnavailable when none did before ctx or the RequestTimeout ended, and at
// once with ErrNotPermitted, ErrWrongCluster or ErrVersion when every node that
// answered refuses this client.
func Open(ctx context.Context, cfg Config, deps Deps) (*Client, error) {
	if err := errors.Join(cfg.Validate(), deps.validate()); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, deps: deps, dice: &dice{rng: deps.Rand}, log: deps.Logger, cluster: cfg.Cluster}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	for i := range cfg.Connections {
		c.links = append(c.links, newLink(c, i))
	}
	for _, l := range c.links {
		l.start()
	}
	if err := c.awaitFirst(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// awaitFirst returns when the first connection stands.
func (c *Client) awaitFirst(ctx context.Context) error {
	if c.cfg.RequestTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = c.withTimeout(ctx, c.cfg.RequestTimeout)
		defer cancel()
	}
	var last error
	for {
		select {
		case <-c.links[0].ready:
			return nil
		case round := <-c.links[0].failures:
			if round.hopeless {
				return ofOperation("open", "", round.err)
			}
			last = round.err
		case <-ctx.Done():
			if last == nil {
				last = context.Cause(ctx)
			}
			return ofOperation("open", "", unavailable(last))
		}
	}
}

// Close lowers every belief, abandons the sessions (they expire after their TTL
// unless they were ended) and closes the connections. It always returns nil.
func (c *Client) Close() error {
	c.stop(ErrClosed)
	for _, l := range c.links {
		for _, s := range l.close() {
			s.over(&Error{Op: "session", Err: ErrSessionExpired, Cause: ErrClosed})
		}
	}
	c.running.Wait()
	if c.deps.Closed != nil {
		c.closing.Do(c.deps.Closed)
	}
	return nil
}

// Cluster is the name of the cluster.
func (c *Client) Cluster() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cluster
}

// Lineage is the lineage that the cluster has told last.
func (c *Client) Lineage() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lineage
}

// Members are the nodes that the cluster has told of last.
func (c *Client) Members() []Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	members := make([]Member, len(c.members))
	for i, m := range c.members {
		members[i] = member(m)
	}
	return members
}

// now reads the three clocks.
func (c *Client) now() belief.Reading {
	k := c.deps.Clocks
	return belief.Reading{Mono: k.Mono.Now(), Boot: k.Boot(), Wall: k.Wall()}
}

func (c *Client) mono() clockwork.Clock { return c.deps.Clocks.Mono }

func (c *Client) withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return clockwork.WithTimeout(ctx, c.mono(), d)
}

// pause waits before attempt n is followed by the next; false when ctx ended.
func (c *Client) pause(ctx context.Context, n int) bool {
	timer := c.mono().NewTimer(c.pauseFor(n))
	defer timer.Stop()
	select {
	case <-timer.Chan():
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Client) pauseFor(n int) time.Duration {
	return pause(n, c.cfg.BackoffMin, c.cfg.BackoffMax, c.dice.draw)
}

// hello is what every stream begins with.
func (c *Client) hello() *lockstepv1.Hello {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &lockstepv1.Hello{
		Kind: lockstepv1.Hello_KIND_CLIENT, Version: ProtocolVersion,
		Cluster: c.cluster, Lineage: c.lineage, Agent: c.cfg.Agent,
	}
}

// noteWelcome learns from a node's Welcome and refuses what does not fit. A newer
// lineage ends every session of the older one; a node of an older lineage has
// missed a restore and is not to be talked to.
func (c *Client) noteWelcome(w *lockstepv1.Welcome) error {
	if p := w.GetProblem(); p != nil && p.GetCode() != lockstepv1.Code_CODE_WRONG_LINEAGE {
		_, err := judge(p)
		return err
	}
	c.mu.Lock()
	if c.cluster != "" && w.GetCluster() != c.cluster {
		defer c.mu.Unlock()
		return &Error{Err: ErrWrongCluster, Detail: fmt.Sprintf("node %s belongs to %q, not to %q", w.GetNode(), w.GetCluster(), c.cluster)}
	}
	if w.GetLineage() < c.lineage {
		defer c.mu.Unlock()
		return fmt.Errorf("node %s is of lineage %d, the cluster went on to %d", w.GetNode(), w.GetLineage(), c.lineage)
	}
	restored := c.lineage != 0 && w.GetLineage() > c.lineage
	c.lineage = w.GetLineage()
	if w.GetProblem() == nil {
		c.cluster = w.GetCluster()
		c.leader, c.members = w.GetLeader(), w.GetMembers()
	}
	c.mu.Unlock()
	if restored {
		c.newLineage(w.GetLineage())
	}
	if p := w.GetProblem(); p != nil {
		return &problemError{code: p.GetCode(), detail: p.GetDetail()}
	}
	return nil
}

// newLineage ends the sessions of earlier lineages: in the new one they expired.
func (c *Client) newLineage(lineage uint64) {
	c.log.Warn("the cluster has begun a new lineage; all sessions are over", "lineage", lineage)
	for _, l := range c.links {
		for _, s := range l.olderThan(lineage) {
			s.over(&Error{Op: "session", Err: ErrSessionExpired, Cause: ErrNewLineage})
		}
		l.watches.restored()
	}
}

// noteLeader keeps the address of a leader that a node has named.
func (c *Client) noteLeader(leader *lockstepv1.Member) {
	if leader.GetAddress() == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = leader
}

// candidates are the addresses worth trying: the leader's first, then the other
// members and endpoints in random order, without the one to avoid unless it is
// all there is.
func (c *Client) candidates(avoid string) []string {
	c.mu.Lock()
	addresses := slices.Clone(c.cfg.Endpoints)
	for _, m := range c.members {
		addresses = append(addresses, m.GetAddress())
	}
	leader := c.leader.GetAddress()
	c.mu.Unlock()
	slices.Sort(addresses)
	addresses = slices.DeleteFunc(slices.Compact(addresses), func(a string) bool { return a == "" || a == leader })
	c.dice.shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	if leader != "" {
		addresses = slices.Insert(addresses, 0, leader)
	}
	if others := slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return a == avoid }); len(others) > 0 {
		return others
	}
	return addresses
}

// quietest is the link with the fewest sessions.
func (c *Client) quietest() *link {
	best, fewest := c.links[0], -1
	c.mu.Lock()
	c.nextKey++
	start := c.nextKey
	c.mu.Unlock()
	for i := range c.links {
		l := c.links[(start+i)%len(c.links)]
		if n := l.load(); fewest < 0 || n < fewest {
			best, fewest = l, n
		}
	}
	return best
}

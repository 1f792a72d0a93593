//go:build unix

package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// stopPatience is how long the nodes may take to stop cleanly.
	stopPatience = 15 * time.Second
	// healthInterval is how often the cluster is asked for its health until it is
	// healthy.
	healthInterval = 200 * time.Millisecond
	// healthPatience is after how long without health the user is told.
	healthPatience = 30 * time.Second
)

// Config says what to run.
type Config struct {
	// Data is the data directory.
	Data string
	// Nodes is the size of a new cluster, 1 to MaxNodes; 0: three, or what the
	// directory has.
	Nodes int
	// Ports are where a new cluster looks for ports.
	Ports Ports
	// Color: name the nodes in color.
	Color bool
}

// Health is what a cluster says of itself.
type Health struct {
	// Leader serves, and a quorum answers it.
	Leader string
	// Answering counts the nodes that answer.
	Answering int
}

// Deps are what a cluster needs from its surroundings.
type Deps struct {
	// Program is the path of lockstepd.
	Program string
	// Certify makes the certificates that are missing: an authority, one
	// certificate for each node and one for clients. It may be called again.
	Certify func(Layout, *Plan) error
	// Ask asks a running cluster for its health.
	Ask func(context.Context, Layout, *Plan) Health
	// Out is for people: what the cluster does, and the nodes' lines.
	Out io.Writer
	// Serve are further arguments of `serve`, such as a log level.
	Serve []string
}

// Run starts the cluster and keeps it running until ctx ends; then it stops it
// cleanly, or at once when hurry is closed. It returns an error if the cluster
// could not be started, or if all nodes have given up.
func Run(ctx context.Context, hurry <-chan struct{}, cfg Config, deps Deps) error {
	layout := Layout{Root: cfg.Data}
	lock, err := layout.claim()
	if err != nil {
		return err
	}
	defer lock.Close()
	plan, err := prepare(layout, cfg, deps)
	if err != nil {
		return err
	}
	c := newCluster(layout, plan, cfg, deps)
	return c.run(ctx, hurry)
}

// Prepare writes at the first start what later starts read, and starts nothing.
func Prepare(cfg Config) (Layout, *Plan, error) {
	layout := Layout{Root: cfg.Data}
	lock, err := layout.claim()
	if err != nil {
		return layout, nil, err
	}
	defer lock.Close()
	plan, err := prepare(layout, cfg, Deps{Certify: Certify})
	return layout, plan, err
}

// prepare writes at the first start what later starts read.
func prepare(layout Layout, cfg Config, deps Deps) (*Plan, error) {
	if cfg.Nodes < 0 || cfg.Nodes > MaxNodes {
		return nil, fmt.Errorf("%w: %d nodes are not within 1 to %d", ErrPlan, cfg.Nodes, MaxNodes)
	}
	plan, err := layout.readPlan()
	if err != nil {
		return nil, err
	}
	if plan == nil {
		if plan, err = pick(orThree(cfg.Nodes), cfg.Ports); err != nil {
			return nil, err
		}
	} else {
		if cfg.Nodes != 0 && cfg.Nodes != len(plan.Members) {
			return nil, fmt.Errorf("%w: %s has a cluster of %d nodes, not %d: leave --nodes out, or start a new cluster with another --data",
				ErrPlan, layout.Root, len(plan.Members), cfg.Nodes)
		}
		if err := plan.taken(); err != nil {
			return nil, err
		}
	}
	if err := deps.Certify(layout, plan); err != nil {
		return nil, err
	}
	return plan, layout.write(plan)
}

func orThree(n int) int {
	if n == 0 {
		return 3
	}
	return n
}

// write writes what is missing; the plan comes last, so that a first start that
// was interrupted is a first start again.
func (l Layout) write(p *Plan) error {
	for _, m := range p.Members {
		if _, err := os.Stat(l.Config(m.Node)); errors.Is(err, os.ErrNotExist) {
			if err := write(l.Config(m.Node), l.nodeConfig(p, m), 0o600); err != nil {
				return fmt.Errorf("%w: %w", ErrPlan, err)
			}
		}
	}
	if err := write(filepath.Join(l.ClientDir(), "endpoints"), p.endpoints(), 0o644); err != nil {
		return fmt.Errorf("%w: %w", ErrPlan, err)
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := write(l.plan(), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("%w: %w", ErrPlan, err)
	}
	return nil
}

type cluster struct {
	layout   Layout
	plan     *Plan
	deps     Deps
	children []*child
	out      sync.Mutex
	given    atomic.Int32
}

func newCluster(layout Layout, plan *Plan, cfg Config, deps Deps) *cluster {
	c := &cluster{layout: layout, plan: plan, deps: deps}
	for i, m := range plan.Members {
		prefix := m.Node + " | "
		if cfg.Color {
			prefix = fmt.Sprintf("\x1b[%dm%s |\x1b[0m ", 36-i%6, m.Node)
		}
		c.children = append(c.children, &child{
			name: m.Node, path: deps.Program,
			args:   append([]string{deps.Program, "serve", "--config", layout.Config(m.Node)}, deps.Serve...),
			output: &prefixer{mu: &c.out, w: deps.Out, prefix: []byte(prefix)},
			say:    c.say,
		})
	}
	return c
}

// say prints for people, between the nodes' lines.
func (c *cluster) say(format string, args ...any) {
	c.out.Lock()
	defer c.out.Unlock()
	fmt.Fprintf(c.deps.Out, format+"\n", args...)
}

func (c *cluster) run(ctx context.Context, hurry <-chan struct{}) error {
	c.say("Starting %d nodes; their data is in %s", len(c.children), c.layout.Root)
	supervised, stopSupervising := context.WithCancel(ctx)
	defer stopSupervising()
	ended := make(chan error, len(c.children))
	for _, ch := range c.children {
		go func() { ended <- ch.supervise(supervised) }()
	}
	go c.announce(supervised)

	var given []error
	running := len(c.children)
	for running > 0 {
		select {
		case <-ctx.Done():
			c.say("Stopping")
			c.stop(hurry, ended, running)
			return nil
		case err := <-ended:
			running--
			if err != nil {
				given = append(given, err)
				c.given.Add(1)
				c.say("%v; %d of %d nodes are left", err, running, len(c.children))
			}
		}
	}
	return errors.Join(given...)
}

// stop ends the children: cleanly, at once when hurry is closed or patience is
// over.
func (c *cluster) stop(hurry <-chan struct{}, ended <-chan error, running int) {
	for _, ch := range c.children {
		ch.signal(syscall.SIGTERM)
	}
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	kill := func() {
		for _, ch := range c.children {
			ch.signal(syscall.SIGKILL)
		}
	}
	for running > 0 {
		select {
		case <-ended:
			running--
		case <-hurry:
			hurry = nil
			kill()
		case <-timer.C:
			c.say("A node did not stop within %v and is killed", stopPatience)
			kill()
		}
	}
}

// announce tells once when the cluster is healthy, or that it takes long.
func (c *cluster) announce(ctx context.Context) {
	began := time.Now()
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asking, cancel := context.WithTimeout(ctx, 2*time.Second)
		health := c.deps.Ask(asking, c.layout, c.plan)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case health.Leader != "" && health.Answering >= len(c.children)-int(c.given.Load()):
			c.say("%s", c.banner(health, time.Since(began)))
			return
		case !told && time.Since(began) > healthPatience:
			told = true
			c.say("The cluster is not healthy after %v: %d of %d nodes answer, the leader is %q. The nodes' lines above say why.",
				healthPatience, health.Answering, len(c.children), health.Leader)
		}
	}
}

// banner is what a person sees of a healthy cluster: what there is and what to
// try.
func (c *cluster) banner(h Health, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe cluster is healthy after %.1f s. Its nodes:\n", took.Seconds())
	for _, m := range c.plan.Members {
		role := ""
		if m.Node == h.Leader {
			role = "  leader"
		}
		fmt.Fprintf(&b, "  %s  %s  admin http://%s%s\n", m.Node, m.Address, m.Admin, role)
	}
	lockstep := filepath.Join(filepath.Dir(c.deps.Program), "lockstep")
	if wd, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(wd, lockstep); err == nil && !strings.HasPrefix(relative, "..") {
			lockstep = "./" + relative
		}
	}
	where := ""
	if filepath.Clean(c.layout.Root) != "data" {
		where = " --data " + c.layout.Root
	}
	fmt.Fprintf(&b, "Try, in another terminal:\n  %s lock /demo%s -- sh -c 'echo \"holding with token $LOCKSTEP_TOKEN\"; sleep 30'\n  %s locks%s\nCtrl-C stops the cluster.\n",
		lockstep, where, lockstep, where)
	return b.String()
}

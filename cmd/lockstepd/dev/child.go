//go:build unix

package dev

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"lockstep/cmd/lockstepd/exits"
	"lockstep/cmd/procgroup"
)

const (
	// firstPause and longestPause bound the pause before a child that ended is
	// started again; it doubles each time and starts over after calm.
	firstPause   = 250 * time.Millisecond
	longestPause = 10 * time.Second
	// calm is how long a child must have run for its next end to be a new story.
	calm = 30 * time.Second
)

// child is one supervised node.
type child struct {
	name string
	// path and args start it.
	path string
	args []string
	// output is where its lines go.
	output *prefixer
	// say tells the user what happened to it.
	say func(format string, args ...any)

	mu    sync.Mutex
	group *procgroup.Group
}

// supervise runs the child until ctx ends, starting it again when it ended
// although nobody asked; then it waits for its end. Ending it is signal's task.
// It returns early, with the reason, when starting it again would not help.
func (c *child) supervise(ctx context.Context) error {
	backoff := firstPause
	for {
		began := time.Now()
		exit, err := c.runOnce(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // its end was asked for
		}
		if err != nil {
			return err
		}
		if !exit.Restart() {
			return fmt.Errorf("%s %s", c.name, exit.Meaning())
		}
		if time.Since(began) > calm {
			backoff = firstPause
		}
		c.say("%s %s; it is started again in %v", c.name, exit.Meaning(), backoff)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, longestPause)
	}
}

// runOnce starts the child and waits until it ended.
func (c *child) runOnce(ctx context.Context) (exits.Code, error) {
	in, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer out.Close()
	group, err := c.start(ctx, procgroup.Spec{Path: c.path, Args: c.args, Env: os.Environ(), Files: [3]*os.File{in, w, w}})
	w.Close()
	if err != nil || group == nil {
		return 0, err
	}
	c.output.copy(io.Reader(out))
	exit := exits.Failure
	for status := range group.Changes() {
		if !status.Stopped() {
			exit = exits.Code(status.Code())
		}
	}
	c.mu.Lock()
	c.group = nil
	c.mu.Unlock()
	return exit, nil
}

// start starts the process unless the end was asked for: then nobody would end it.
func (c *child) start(ctx context.Context, spec procgroup.Spec) (*procgroup.Group, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return nil, nil
	}
	group, err := procgroup.Start(spec)
	if err != nil {
		return nil, err
	}
	c.group = group
	return group, nil
}

// signal sends sig to the child, if it runs.
func (c *child) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.group != nil {
		_ = c.group.Signal(sig)
	}
}

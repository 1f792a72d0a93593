package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lockstep/client"
	"lockstep/cmd/lockstep/render"
)

// readFlags are the flags of every listing.
type readFlags struct {
	format *formatFlag
	stale  time.Duration
	cmd    *cobra.Command
}

func readable(cmd *cobra.Command) *readFlags {
	r := &readFlags{format: output(cmd), cmd: cmd}
	cmd.Flags().DurationVar(&r.stale, "stale", 0, "let any node answer whose state is at most so old; -1s: however old (default: up to date)")
	return r
}

func (r *readFlags) options(info *client.ReadInfo) []client.ReadOption {
	options := []client.ReadOption{client.Info(info)}
	if r.cmd.Flags().Changed("stale") {
		options = append(options, client.Stale(r.stale))
	}
	return options
}

// prefixOf is the prefix that was asked for; without one it is everything.
func prefixOf(args []string) string {
	if len(args) == 0 {
		return "/"
	}
	return args[0]
}

const staleHelp = `

The answer is up to date unless --stale allows an older one, which any node can give,
also without a quorum.`

func (a *app) locksCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "locks [PREFIX]",
		Short: "List locks and who holds them",
		Long: `Lists the locks at and below PREFIX that are held, waited for, or closed by a
lock-delay. HELD is for how long, ENDS when a timed hold or a closure ends.` + staleHelp,
		Example: `  lockstep locks
  lockstep locks /orders -o json | jq -r '.locks[].holders[].token'
  lockstep locks --stale -1s      # whatever this node knows, even without a quorum`,
		Args:              atMostPrefix,
		ValidArgsFunction: a.completePath(),
	}
	flags := readable(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			var l render.Locks
			var err error
			l.Locks, err = collect(c.ListLocks(ctx, prefixOf(args), flags.options(&l.Read)...))
			if err != nil {
				return err
			}
			return render.WriteLocks(a.stdout, flags.format.Format, l, prefixOf(args))
		})
	}
	return cmd
}

func (a *app) sessionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions [PREFIX]",
		Short: "List the clients' sessions",
		Long: `Lists the sessions: all, or those that hold or wait for a lock at or below PREFIX.
A session in JEOPARDY has been silent for the time that SILENT shows; when that reaches
its TTL it expires and its locks go to whoever waits.` + staleHelp,
		Example: `  lockstep sessions
  lockstep sessions /orders -o yaml`,
		Args:              atMostPrefix,
		ValidArgsFunction: a.completePath(),
	}
	flags := readable(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			var l render.Sessions
			all, err := collect(c.ListSessions(ctx, flags.options(&l.Read)...))
			if err != nil {
				return err
			}
			var of map[client.SessionID]bool
			if len(args) == 1 && args[0] != "/" {
				if of, err = involved(ctx, c, args[0], flags); err != nil {
					return err
				}
			}
			for _, s := range all {
				if of == nil || of[s.Session] {
					l.Sessions = append(l.Sessions, s)
				}
			}
			return render.WriteSessions(a.stdout, flags.format.Format, l)
		})
	}
	return cmd
}

// involved is the set of sessions that hold or wait at or below the prefix.
func involved(ctx context.Context, c *client.Client, prefix string, flags *readFlags) (map[client.SessionID]bool, error) {
	set := map[client.SessionID]bool{}
	var info client.ReadInfo
	for l, err := range c.ListLocks(ctx, prefix, flags.options(&info)...) {
		if err != nil {
			return nil, err
		}
		for _, h := range l.Holders {
			set[h.Session] = true
		}
	}
	for w, err := range c.ListWaiters(ctx, prefix, flags.options(&info)...) {
		if err != nil {
			return nil, err
		}
		set[w.Session] = true
	}
	return set, nil
}

func (a *app) waitersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "waiters [PREFIX]",
		Short: "List who waits, in the order of being served",
		Long: `Lists the requests that wait for a lock at or below PREFIX, those that come first
first. AHEAD is how many are served before.` + staleHelp,
		Example: `  lockstep waiters
  lockstep waiters /orders/eu/42`,
		Args:              atMostPrefix,
		ValidArgsFunction: a.completePath(),
	}
	flags := readable(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			var l render.Waiters
			var err error
			if l.Waiters, err = collect(c.ListWaiters(ctx, prefixOf(args), flags.options(&l.Read)...)); err != nil {
				return err
			}
			if len(l.Waiters) > 0 {
				if l.Now, err = logTime(ctx, c, prefixOf(args), flags); err != nil {
					return err
				}
			}
			return render.WriteWaiters(a.stdout, flags.format.Format, l, prefixOf(args))
		})
	}
	return cmd
}

// logTime is the service's time, to which the times of waiters compare.
func logTime(ctx context.Context, c *client.Client, prefix string, flags *readFlags) (client.LogTime, error) {
	var info client.ReadInfo
	for l, err := range c.ListLocks(ctx, prefix, append(flags.options(&info), client.PageSize(1))...) {
		return l.Now, err
	}
	return 0, nil
}

// with connects, lets fn work within the timeout, and closes.
func (a *app) with(ctx context.Context, fn func(context.Context, *client.Client) error) error {
	c, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return fn(ctx, c)
}

func collect[T any](items func(func(T, error) bool)) ([]T, error) {
	var all []T
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

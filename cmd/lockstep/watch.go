package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"lockstep/client"
	"lockstep/cmd/lockstep/render"
)

func (a *app) watchCommand() *cobra.Command {
	var from string
	var listing, exact bool
	cmd := &cobra.Command{
		Use:   "watch [PREFIX]",
		Short: "Print what happens to locks, as it happens",
		Long: `Prints each event of the locks at and below PREFIX, in the order of the log, without
gaps or duplicates, over changes of the leader and restarts of nodes, until it is
interrupted. With -o json each line is one object.

Each event begins with its position. --from POSITION goes on after it, for as long as the
service keeps events; when they are gone it says so, with what is held now.`,
		Example: `  lockstep watch
  lockstep watch /orders -o json | jq 'select(.kind == "granted") | .token'
  lockstep watch /orders --from 1042.1`,
		Args:              atMostPrefix,
		ValidArgsFunction: a.completePath(),
	}
	format := output(cmd)
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "go on after this position, such as 1042.1 (default: from now on)")
	flags.BoolVar(&listing, "listing", false, "begin with what is held now")
	flags.BoolVar(&exact, "exact", false, "only the path itself, nothing below it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var options []client.WatchOption
		if exact {
			options = append(options, client.Exact())
		}
		switch {
		case from != "" && listing:
			return usage("lockstep watch: --listing begins now, --from earlier: choose one")
		case from != "":
			after, err := client.ParsePosition(from)
			if err != nil {
				return usage("lockstep watch: --from: %w", err)
			}
			options = append(options, client.After(after))
		case listing:
			options = append(options, client.WithListing())
		}
		return a.watch(cmd.Context(), prefixOf(args), format.Format, options)
	}
	return cmd
}

func (a *app) watch(ctx context.Context, prefix string, format render.Format, options []client.WatchOption) error {
	c, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for event, err := range c.Watch(ctx, prefix, options...) {
		var gap *client.HistoryGoneError
		switch {
		case errors.As(err, &gap):
			err = render.WriteGap(a.stdout, format, gap)
		case err == nil:
			err = render.WriteEvent(a.stdout, format, event)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

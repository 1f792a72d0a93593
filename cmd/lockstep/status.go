package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"lockstep/client"
	"lockstep/cmd/lockstep/render"
	"lockstep/cmd/version"
)

// statusPatience is how long one node may take to answer before it counts as
// not answering.
const statusPatience = 4 * time.Second

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show every node, who leads, and whether a quorum answers",
		Long: `Asks every node of the cluster about itself. LAG is how many log entries its state is
behind the furthest node's. Exits with 69 when no leader with a quorum is found.`,
		Example: `  lockstep status
  lockstep status -o json | jq -e .quorum`,
		Args: exactly(),
	}
	format := output(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd.Context(), func(ctx context.Context, c *client.Client) error {
			cluster := render.NewCluster(ask(ctx, c))
			if err := render.WriteStatus(a.stdout, format.Format, cluster); err != nil {
				return err
			}
			if !cluster.Quorum {
				return codeError(exitUnavailable)
			}
			return nil
		})
	}
	return cmd
}

// ask asks all nodes at the same time.
func ask(ctx context.Context, c *client.Client) []render.Node {
	members := c.Members()
	nodes := make([]render.Node, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		nodes[i] = render.Node{Node: m.Node, Address: m.Address}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, statusPatience)
			defer cancel()
			status, err := c.Status(ctx, m.Address)
			switch {
			case err == nil:
				nodes[i].Status = &status
			case ctx.Err() != nil:
				nodes[i].Problem = fmt.Sprintf("no answer within %v", statusPatience)
			default:
				nodes[i].Problem = err.Error()
			}
		})
	}
	wg.Wait()
	return nodes
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long:  "Prints the version of this program; \"lockstep status\" shows those of the nodes.",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, version.Line("lockstep"))
			return err
		},
	}
}

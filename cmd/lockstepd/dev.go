//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lockstep"
	"lockstep/cmd/lockstepd/dev"
	"lockstep/cmd/lockstepd/settings"
	"lockstep/cmd/version"
)

func devCommand(stdout io.Writer) *cobra.Command {
	cfg := dev.Config{Ports: dev.UsualPorts()}
	level := "info"
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole cluster on this machine",
		Long: `Starts a cluster of real node processes on loopback, with QUIC, mutual TLS and disks, and
keeps it running until Ctrl-C.

The first start makes everything below the data directory: certificates, a configuration
for each node, and what clients need, in DIR/client. Other ports are taken when the usual
ones are not free, and remembered. A node that crashes is started again; one that halted
for a full disk is not.`,
		Example: `  lockstepd dev
  lockstepd dev --data /tmp/play --nodes 5`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("nodes") && cfg.Nodes < 1 {
				return usagef("dev: --nodes %d is not within 1 to %d", cfg.Nodes, dev.MaxNodes)
			}
			if err := settings.New().SetFlag("log-level", level); err != nil {
				return usagef("dev: %w", err)
			}
			return runDev(cmd.Context(), cfg, level, stdout)
		},
	}
	def := os.Getenv(lockstep.EnvData)
	if def == "" {
		def = lockstep.DefaultDataDir
	}
	cmd.Flags().StringVar(&cfg.Data, "data", def, "directory of everything the cluster has ($LOCKSTEP_DATA)")
	cmd.Flags().IntVar(&cfg.Nodes, "nodes", 0, "how many nodes a new cluster has, 1 to 9 (default 3)")
	cmd.Flags().StringVar(&level, "log-level", level, "debug, info, warn or error")
	return cmd
}

func runDev(parent context.Context, cfg dev.Config, level string, stdout io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if f, ok := stdout.(*os.File); ok {
		cfg.Color = term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""
	}
	ctx, hurry, release := stopping(parent)
	defer release()
	var asker asker
	defer asker.close()
	return dev.Run(ctx, hurry, cfg, dev.Deps{
		Program: program,
		Certify: dev.Certify,
		Ask:     asker.ask,
		Out:     stdout,
		Serve:   []string{"--log-level", level},
	})
}

// asker asks a cluster for its health, the way any client would.
type asker struct{ client *lockstep.Client }

func (a *asker) ask(ctx context.Context, l dev.Layout, p *dev.Plan) dev.Health {
	if a.client == nil {
		c, err := lockstep.Open(ctx, nil, lockstep.WithDataDir(l.Root), lockstep.WithAgent(version.Agent("lockstepd-dev")))
		if err != nil {
			return dev.Health{}
		}
		a.client = c
	}
	var mu sync.Mutex
	var h dev.Health
	var wg sync.WaitGroup
	for _, m := range p.Members {
		wg.Go(func() {
			s, err := a.client.Status(ctx, m.Address)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				h.Answering++
				if s.Serving && s.Quorum {
					h.Leader = m.Node
				}
			}
		})
	}
	wg.Wait()
	return h
}

func (a *asker) close() {
	if a.client != nil {
		_ = a.client.Close()
	}
}

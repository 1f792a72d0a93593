package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lockstep/client"
	"lockstep/cmd/lockstep/bench"
	"lockstep/cmd/lockstep/render"
)

// startTimeout bounds how long a cluster that is started for a measurement may
// take to elect a leader.
const startTimeout = 60 * time.Second

type benchFlags struct {
	clients     []int
	connections int
	locks       int
	each        bool
	binary      string
	cfg         bench.Config
	format      *formatFlag
}

func (a *app) benchCommand() *cobra.Command {
	f := &benchFlags{cfg: bench.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure acquire-release pairs a second",
		Long: `bench lets a number of clients, each a session, acquire and release locks as fast
as answers come, and prints how many pairs a second that makes and how long each
half takes: medians of several runs, with the extremes.

Each client has a lock of its own unless --locks says for how many they contend.
Sessions share --connections connections; --each adds rows with one for each.`,
		Example: `  lockstep bench
  lockstep bench --clients 1,64 --runs 5 --duration 10s
  lockstep bench --clients 50 --locks 10 -o json
  lockstep bench --cluster-binary bin/lockstepd`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.bench(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&f.clients, "clients", []int{1, 16, 64, 256}, "how many clients, one row each")
	flags.IntVar(&f.connections, "connections", 4, "over at most how many connections")
	flags.IntVar(&f.locks, "locks", 0, "for how many locks they contend; 0: each has its own")
	flags.BoolVar(&f.each, "each", false, "measure also with a connection for each client")
	flags.IntVar(&f.cfg.Runs, "runs", f.cfg.Runs, "how often each row is measured")
	flags.DurationVar(&f.cfg.Duration, "duration", f.cfg.Duration, "how long one measurement takes")
	flags.DurationVar(&f.cfg.Warmup, "warmup", f.cfg.Warmup, "what runs before it and is not counted")
	flags.StringVar(&f.cfg.Prefix, "prefix", f.cfg.Prefix, "the path below which locks are taken")
	flags.StringVar(&f.binary, "cluster-binary", "", "start a cluster with this `lockstepd` for the measurement")
	f.format = output(cmd)
	return cmd
}

func (a *app) bench(ctx context.Context, f *benchFlags) error {
	f.cfg.Rows = bench.Rows(f.clients, f.connections, f.locks)
	if f.each {
		for _, n := range f.clients {
			f.cfg.Rows = append(f.cfg.Rows, bench.Row{Clients: n, Locks: f.locks})
		}
	}
	if err := f.cfg.Validate(); err != nil {
		return usage("lockstep bench: %w", err)
	}
	if f.binary != "" {
		stop, err := a.startCluster(ctx, f.binary)
		if err != nil {
			return err
		}
		defer stop()
	}
	results, err := bench.Run(ctx, f.cfg, a.dialBench, time.Now, func(row bench.Row, run int) {
		fmt.Fprintf(a.stderr, "%d clients, run %d of %d ...\n", row.Clients, run, f.cfg.Runs)
	})
	if err != nil {
		return err
	}
	if f.format.Format == render.Table {
		return bench.WriteTable(a.stdout, results)
	}
	return render.Document(a.stdout, f.format.Format, results)
}

func (a *app) dialBench(ctx context.Context, connections int) (*client.Client, error) {
	return a.openWith(ctx, connections)
}

// startCluster starts a cluster in a directory of its own, makes it the one that
// this command talks to, and returns how to stop and remove it.
func (a *app) startCluster(ctx context.Context, binary string) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "lockstep-bench-")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	daemon := exec.Command(binary, "dev", "--data", data)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		return nil, fmt.Errorf("lockstep bench: start a cluster: %w", err)
	}
	stop = func() {
		_ = daemon.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		_ = daemon.Wait()
		_ = log.Close()
		_ = os.RemoveAll(dir)
	}
	a.data, a.endpoints, a.ca, a.cert, a.key = data, nil, "", "", ""
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := a.works(ctx)
		if err == nil {
			return stop, nil
		}
		select {
		case <-ctx.Done():
			_, _ = fmt.Fprintf(a.stderr, "the cluster's log is in %s\n", log.Name())
			_ = daemon.Process.Signal(syscall.SIGTERM)
			return nil, fmt.Errorf("lockstep bench: the cluster did not come up: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// works opens and ends a session.
func (a *app) works(ctx context.Context) error {
	c, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	s, err := c.NewSession(ctx)
	if err != nil {
		return err
	}
	return s.End(ctx)
}

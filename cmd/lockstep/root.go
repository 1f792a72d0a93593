package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/client"
	"lockstep/cmd/lockstep/render"
	"lockstep/cmd/suggest"
	"lockstep/cmd/version"
)

// app is what all commands share.
type app struct {
	stdout, stderr io.Writer

	data, ca, cert, key, cluster string
	endpoints                    []string
	timeout                      time.Duration
	verbose                      bool
}

// run executes the command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	ctx, stop := interruptible(context.Background())
	defer stop()
	err := root.ExecuteContext(ctx)
	// Whatever an interrupted command says, the signal is why it ended.
	if sig, interrupted := context.Cause(ctx).(signalError); err != nil && interrupted { //nolint:errorlint // the cause is ours, never wrapped
		var code codeError
		if !errors.As(err, &code) {
			err = sig
		}
	}
	return report(stderr, err)
}

// interruptible returns a context that ends at the first SIGINT, SIGTERM or
// SIGHUP, with a signalError as its cause. The second signal acts as if nobody
// listened.
func interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case sig := <-signals:
			cancel(signalError{sig.(syscall.Signal)})
		case <-ctx.Done():
		}
		signal.Stop(signals)
	}()
	return ctx, func() { cancel(nil) }
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "lockstep",
		Short: "Take locks and see who holds them",
		Long: `lockstep runs commands under distributed locks and shows what goes on in a
Lockstep cluster.

It finds the cluster by --endpoints or LOCKSTEP_ENDPOINTS, with the certificates of
--ca, --cert, --key or LOCKSTEP_CA, LOCKSTEP_CERT, LOCKSTEP_KEY. What is not given is
looked for where "lockstepd dev" leaves it: --data, LOCKSTEP_DATA or ./data.

Exit codes: 0 success, 64 wrong usage, 69 service unavailable, 75 not acquired,
76 lost while the command ran, 77 not permitted; "lockstep lock" else exits as its
command does, with 128 + n for signal n, 127 if it is not found, 126 if not executable.`,
		Example: `  lockstep lock /backup -- ./backup.sh
  lockstep locks
  lockstep watch / -o json`,
		Args:          noSubcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version.String(),
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate(version.Line("lockstep") + "\n")
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringSliceVar(&a.endpoints, "endpoints", nil, "addresses of some of the nodes, separated by commas")
	flags.StringVar(&a.data, "data", "", "data directory of a `lockstepd dev` cluster (default $LOCKSTEP_DATA, else ./data)")
	flags.StringVar(&a.ca, "ca", "", "PEM file of the cluster's authority")
	flags.StringVar(&a.cert, "cert", "", "PEM file of this client's certificate")
	flags.StringVar(&a.key, "key", "", "PEM file of this client's private key")
	flags.StringVar(&a.cluster, "cluster", "", "name of the cluster; others are refused (default: whichever answers)")
	flags.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long to try while the service does not answer")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log connections and retries to standard error")
	root.AddCommand(a.lockCommand(), a.locksCommand(), a.sessionsCommand(), a.waitersCommand(), a.watchCommand(),
		a.statusCommand(), a.benchCommand(), a.versionCommand())
	return root
}

// noSubcommand explains a word that is no command, and what was probably meant.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return usage("lockstep: no such command: %q%s; lockstep --help lists them", args[0], suggest.Ask(args[0], names))
}

// flagError explains a flag that does not exist, and what was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		return usage("%s: no such flag: --%s%s; %s --help lists them", cmd.CommandPath(), name, suggest.Ask(name, flagNames(cmd)), cmd.CommandPath())
	}
	return usage("%s: %w", cmd.CommandPath(), err)
}

// exactly wants the named arguments.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usage("%s: %s is missing: %s", cmd.CommandPath(), names[len(args)], cmd.UseLine())
		}
		if len(args) > len(names) {
			return usage("%s: what is %q for? %s", cmd.CommandPath(), args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

// atMostPrefix wants one prefix, or nothing for everything.
func atMostPrefix(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage("%s: what is %q for? %s", cmd.CommandPath(), args[1], cmd.UseLine())
	}
	if len(args) == 1 && !strings.HasPrefix(args[0], "/") {
		return usage("%s: %q is no prefix of lock paths (did you mean %q?)", cmd.CommandPath(), args[0], "/"+args[0])
	}
	return nil
}

// open connects to the cluster.
func (a *app) open(ctx context.Context) (*client.Client, error) { return a.openWith(ctx, 1) }

// openWith spreads sessions over so many connections.
func (a *app) openWith(ctx context.Context, connections int) (*client.Client, error) {
	if a.timeout <= 0 {
		return nil, usage("lockstep: --timeout %v is not positive", a.timeout)
	}
	options := []lockstep.Option{lockstep.WithAgent(version.Agent("lockstep")), lockstep.WithRequestTimeout(a.timeout), lockstep.WithConnections(connections)}
	if a.data != "" {
		options = append(options, lockstep.WithDataDir(a.data))
	}
	if a.ca != "" || a.cert != "" || a.key != "" {
		options = append(options, lockstep.WithTLSFiles(a.ca, a.cert, a.key))
	}
	if a.cluster != "" {
		options = append(options, lockstep.WithCluster(a.cluster))
	}
	if a.verbose {
		options = append(options, lockstep.WithLogger(slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return lockstep.Open(ctx, a.endpoints, options...)
}

// output adds -o to the command and returns where its value will be.
func output(cmd *cobra.Command) *formatFlag {
	f := &formatFlag{render.Table}
	cmd.Flags().VarP(f, "output", "o", strings.Join(render.Formats(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return render.Formats(), cobra.ShellCompDirectiveNoFileComp
	})
	return f
}

type formatFlag struct{ render.Format }

func (f *formatFlag) String() string { return string(f.Format) }
func (f *formatFlag) Type() string   { return "format" }
func (f *formatFlag) Set(s string) error {
	parsed, err := render.ParseFormat(s)
	if err == nil {
		f.Format = parsed
	}
	return err
}

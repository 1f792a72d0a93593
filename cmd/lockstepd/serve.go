//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"lockstep/cmd/lockstepd/exits"
	"lockstep/cmd/lockstepd/settings"
)

func serveCommand(stdout, stderr io.Writer) *cobra.Command {
	loaded := settings.New()
	var file string
	var check bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one node",
		Long: `Runs one node of a cluster until SIGTERM or SIGINT, which hand leadership over and stop it
cleanly; a second one stops it at once.

Every option can stand in the file, under the name that --check prints, or be given as a
flag; flags go over the file. Relative paths in the file are relative to the file.`,
		Example: `  lockstepd serve --config node.yaml
  lockstepd serve --config node.yaml --check
  lockstepd serve --config node.yaml --log-level debug`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(cmd, loaded, file); err != nil {
				return err
			}
			if check {
				return explain(stdout, loaded)
			}
			return serve(cmd.Context(), &loaded.Settings, stderr)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file, YAML")
	cmd.Flags().BoolVar(&check, "check", false, "validate and explain the configuration, then exit")
	// The values are read again over the file; here they only give names, defaults
	// and help.
	settings.New().Flags(func(name string, value settings.Value, help string) {
		cmd.Flags().Var(value, name, help)
		if value.Type() == "bool" {
			cmd.Flags().Lookup(name).NoOptDefVal = "true"
		}
	})
	return cmd
}

// load reads defaults, file and flags, in this order, and validates the result.
func load(cmd *cobra.Command, loaded *settings.Loaded, file string) error {
	if file != "" {
		if err := loaded.ReadFile(file); err != nil {
			return err
		}
	}
	for _, name := range settings.FlagNames() {
		if flag := cmd.Flags().Lookup(name); flag.Changed {
			if err := loaded.SetFlag(name, flag.Value.String()); err != nil {
				return err
			}
		}
	}
	return loaded.Validate()
}

// explain prints what the node would run with, after looking at what it can look
// at without running.
func explain(stdout io.Writer, loaded *settings.Loaded) error {
	credentials, err := credentials(&loaded.Settings)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\nThe configuration is valid. The certificate of %s is valid until %s.\n",
		loaded.Explain(), credentials.Principal, credentials.NotAfter.UTC().Format("2006-01-02 15:04 MST"))
	return err
}

// newLogger logs as the settings say.
func newLogger(s *settings.Settings, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.Log.Level}
	if s.Log.Format == settings.FormatJSON {
		return slog.New(slog.NewJSONHandler(w, options)).With("node", s.Node)
	}
	return slog.New(slog.NewTextHandler(w, options)).With("node", s.Node)
}

// serve runs the node until it is told to stop.
func serve(parent context.Context, s *settings.Settings, stderr io.Writer) error {
	ctx, hurry, release := stopping(parent)
	defer release()
	go func() {
		<-hurry // never without a second signal
		fmt.Fprintln(stderr, "lockstepd: stopped at once; nothing acknowledged is lost")
		os.Exit(int(exits.Failure))
	}()
	return runNode(ctx, s, newLogger(s, stderr), stderr)
}

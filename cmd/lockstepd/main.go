//go:build unix

// Command lockstepd runs a node of a Lockstep cluster, or a whole cluster for
// development. It decides nothing about locks: package nodes does.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep/cmd/lockstepd/exits"
	"lockstep/cmd/suggest"
	"lockstep/cmd/version"
)

func main() {
	os.Exit(int(run(os.Args[1:], os.Stdout, os.Stderr)))
}

// run executes the command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) exits.Code {
	root := rootCommand(stdout, stderr)
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return exits.OK
	}
	fmt.Fprintf(stderr, "lockstepd: %v\n", err)
	return codeOf(err)
}

func rootCommand(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "lockstepd",
		Short: "Run a Lockstep node or a development cluster",
		Long: `lockstepd is the server of Lockstep, a distributed lock service.

Exit codes: 0 stopped as asked; 64 wrong flags; 70 halted to keep its promises (start it
again); 73 disk full (make room first); 74 disk failed or damaged; 75 port or data
directory in use; 78 configuration, certificates or data directory cannot be used.`,
		Example: `  lockstepd dev
  lockstepd serve --config /etc/lockstep/node.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			return usagef("no such command: %q%s; lockstepd --help lists them", args[0], suggest.Ask(args[0], names))
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version.String(),
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetVersionTemplate(version.Line("lockstepd") + "\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
			var names []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
			return usagef("%s: no such flag: --%s%s; %s --help lists them", cmd.Name(), name, suggest.Ask(name, names), cmd.CommandPath())
		}
		return usagef("%s: %w", cmd.Name(), err)
	})
	root.AddCommand(serveCommand(stdout, stderr), devCommand(stdout), certsCommand(stdout), &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  nothing,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(stdout, version.Line("lockstepd"))
			return err
		},
	})
	return root
}

// nothing refuses arguments.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s: what is %q for? %s", cmd.Name(), args[0], cmd.UseLine())
	}
	return nil
}

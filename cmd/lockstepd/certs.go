//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"lockstep/cmd/lockstepd/exits"
	"lockstep/cmd/lockstepd/pki"
	"lockstep/transport/certs"
)

func certsCommand(stdout io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "Make the certificates of a cluster",
		Long: `Makes the authority of a cluster, and the certificates of its nodes and clients. Everybody
proves who they are to everybody: there is no way in without a certificate. Keep
ca-key.pem off the nodes: who has it can be anybody.`,
		Example: `  lockstepd certs init --dir pki --cluster orders
  lockstepd certs node n1 --authority pki --dir n1 --host 10.0.0.1
  lockstepd certs client operator --authority pki --dir client`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(certsInit(stdout), certsNode(stdout), certsClient(stdout))
	return cmd
}

func certsInit(stdout io.Writer) *cobra.Command {
	var dir, cluster string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:     "init",
		Short:   "Make the authority of a new cluster",
		Example: "  lockstepd certs init --dir pki --cluster orders",
		Args:    nothing,
		RunE: func(*cobra.Command, []string) error {
			if err := pki.Init(dir, cluster, certs.Validity{Now: time.Now(), For: valid}); err != nil {
				return certError(err)
			}
			_, err := fmt.Fprintf(stdout, "Made the authority of cluster %s in %s. Keep %s secret.\n", cluster, dir, pki.CAKeyFile)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "pki", "folder to write to")
	cmd.Flags().StringVar(&cluster, "cluster", "lockstep", "name of the cluster")
	cmd.Flags().DurationVar(&valid, "valid", pki.AuthorityValidity, "how long it is valid")
	return cmd
}

func certsNode(stdout io.Writer) *cobra.Command {
	var authority, dir string
	var hosts []string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:     "node ID",
		Short:   "Issue the certificate of a node",
		Example: "  lockstepd certs node n1 --authority pki --dir n1 --host 10.0.0.1",
		Args:    one("ID"),
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := pki.Authority(authority)
			if err != nil {
				return certError(err)
			}
			if err := pki.IssueNode(a, dir, args[0], hosts, certs.Validity{Now: time.Now(), For: valid}); err != nil {
				return certError(err)
			}
			_, err = fmt.Fprintf(stdout, "Issued the certificate of node %s to %s.\n", args[0], dir)
			return err
		},
	}
	leafFlags(cmd, &authority, &dir, &valid)
	cmd.Flags().StringSliceVar(&hosts, "host", nil, "names and addresses under which it is reached, separated by commas")
	return cmd
}

func certsClient(stdout io.Writer) *cobra.Command {
	var authority, dir string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:     "client PRINCIPAL",
		Short:   "Issue the certificate of a client",
		Example: "  lockstepd certs client operator --authority pki --dir client",
		Args:    one("PRINCIPAL"),
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := pki.Authority(authority)
			if err != nil {
				return certError(err)
			}
			if err := pki.IssueClient(a, dir, args[0], certs.Validity{Now: time.Now(), For: valid}); err != nil {
				return certError(err)
			}
			_, err = fmt.Fprintf(stdout, "Issued a certificate for %s to %s.\n", args[0], dir)
			return err
		},
	}
	leafFlags(cmd, &authority, &dir, &valid)
	return cmd
}

func leafFlags(cmd *cobra.Command, authority, dir *string, valid *time.Duration) {
	cmd.Flags().StringVar(authority, "authority", "pki", "folder of the authority")
	cmd.Flags().StringVar(dir, "dir", ".", "folder to write to")
	cmd.Flags().DurationVar(valid, "valid", pki.LeafValidity, "how long it is valid")
}

// one wants the named argument.
func one(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s: %s is missing: %s", cmd.Name(), name, cmd.UseLine())
		}
		return nothing(cmd, args[1:])
	}
}

func certError(err error) error {
	if errors.Is(err, certs.ErrName) {
		return &codedError{exits.Usage, err}
	}
	return &codedError{exits.Config, err}
}

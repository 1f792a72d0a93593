package main

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"lockstep/client"
)

const (
	// completionPatience is how long a shell waits for the paths at a TAB.
	completionPatience = time.Second
	// maxCompletions is how many paths a TAB shows.
	maxCompletions = 200
)

// completePath completes the path of a lock as the first argument.
func (a *app) completePath() cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= 1 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		a.timeout = completionPatience
		c, err := a.open(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		var paths []cobra.Completion
		// Any node's state will do for a proposal.
		for l, err := range c.ListLocks(ctx, folder(begun), client.Stale(-1), client.PageSize(maxCompletions)) {
			if err != nil || len(paths) == maxCompletions {
				break
			}
			if strings.HasPrefix(l.Path, begun) {
				paths = append(paths, cobra.CompletionWithDesc(l.Path, strings.ToLower(l.State.String())))
			}
		}
		return paths, cobra.ShellCompDirectiveNoFileComp
	}
}

// folder is the deepest prefix below which everything that begins with begun lies.
func folder(begun string) string {
	if i := strings.LastIndexByte(begun, '/'); i > 0 {
		return begun[:i]
	}
	return "/"
}

// flagNames lists the flags that the command takes.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

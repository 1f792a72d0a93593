//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/cmd/lockstepd/dev"
	"lockstep/cmd/lockstepd/exits"
	"lockstep/cmd/lockstepd/settings"
	"lockstep/nodes/disk"
)

func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		name, args, want string
		code             exits.Code
	}{
		{"typo in a command", "sevre", `did you mean "serve"?`, exits.Usage},
		{"typo in a flag", "serve --confg x", `did you mean "config"?`, exits.Usage},
		{"argument", "serve node.yaml", `what is "node.yaml" for?`, exits.Usage},
		{"no duration", "serve --raft-leader-lease soon", "is no duration", exits.Usage},
		{"nothing configured", "serve", "node: is missing", exits.Config},
		{"no nodes", "dev --nodes 0", "--nodes 0 is not within 1 to 9", exits.Usage},
		{"no level", "dev --log-level lound", "is none of debug, info, warn, error", exits.Usage},
		{"no node id", "certs node", "ID is missing", exits.Usage},
		{"no authority", "certs client x --authority /no/such", "`lockstepd certs init` makes one", exits.Config},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			assert.Equal(t, c.code, run(strings.Fields(c.args), &out, &errs))
			assert.Contains(t, errs.String(), c.want)
		})
	}
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want exits.Code
	}{
		{"settings", settings.ErrSettings, exits.Config},
		{"foreign directory", disk.ErrForeign, exits.Config},
		{"directory in use", disk.ErrLocked, exits.Busy},
		{"damaged", disk.ErrDamaged, exits.Disk},
		{"too little space", disk.ErrNoSpace, exits.DiskFull},
		{"no space", &os.PathError{Op: "write", Err: syscall.ENOSPC}, exits.DiskFull},
		{"dev directory in use", dev.ErrPlan, exits.Busy},
		{"anything else", errors.New("?"), exits.Failure},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, codeOf(fmt.Errorf("wrapped: %w", c.err)))
		})
	}
}

func TestHaltCodes(t *testing.T) {
	const segment = settings.Bytes(16 << 20)
	for _, c := range []struct {
		name, reason string
		free         settings.Bytes
		want         exits.Code
	}{
		{"full", "log store: writing 3 entries: no space left on device", 1 << 40, exits.DiskFull},
		{"full, said otherwise", "log store: writing 3 entries: segment is sealed", 1 << 20, exits.DiskFull},
		{"failed sync", "log store: writing 3 entries: input/output error", 1 << 40, exits.Disk},
		{"stalled", "writing to the log store has taken longer than 10s: the disk is stalled", 1 << 40, exits.Disk},
		{"watchdog", "the leadership-transfer flag sticks", 1 << 40, exits.Halted},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, haltCode(c.reason, c.free, segment))
		})
	}
}

// The reference in the documentation is the one that the program has.
func TestReferenceIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	require.Contains(t, string(page), settings.Reference(), "docs/operations.md: replace the table of options by this:\n%s", settings.Reference())
}

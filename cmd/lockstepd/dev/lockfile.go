//go:build unix

package dev

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// claim locks the data directory for this process, until the file is closed or
// the process ends.
func (l Layout) claim() (*os.File, error) {
	if err := os.MkdirAll(l.Root, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	f, err := os.OpenFile(l.lockFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: cannot lock %s: %w", ErrPlan, f.Name(), err)
		}
		who := "another lockstepd dev"
		if pid, _ := io.ReadAll(io.LimitReader(f, 32)); len(pid) > 0 {
			who += " (process " + strings.TrimSpace(string(pid)) + ")"
		}
		return nil, fmt.Errorf("%w: %s is in use by %s: use that cluster, or start another one with --data", ErrPlan, l.Root, who)
	}
	if err := errors.Join(f.Truncate(0), writePid(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrPlan, err), f.Close())
	}
	return f, nil
}

func writePid(f *os.File) error {
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

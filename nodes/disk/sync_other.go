//go:build unix && !linux

package disk

import "golang.org/x/sys/unix"

// syncData makes a file's data durable.
func syncData(fd uintptr) error {
	for {
		if err := unix.Fsync(int(fd)); err != unix.EINTR { //nolint:errorlint // a bare errno
			return err
		}
	}
}

package disk

import "golang.org/x/sys/unix"

// syncData makes a file's data durable, and of its metadata what is needed to
// read them back.
func syncData(fd uintptr) error {
	for {
		if err := unix.Fdatasync(int(fd)); err != unix.EINTR { //nolint:errorlint // a bare errno
			return err
		}
	}
}

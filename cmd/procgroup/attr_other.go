//go:build unix && !linux

package procgroup

import "syscall"

// Only Linux can tie a child's life to its parent's.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

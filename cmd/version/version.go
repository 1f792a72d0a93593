// Package version tells which build this is; it decides nothing.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the Makefile through the linker.
var version string

// String is the version in one word: what the Makefile stamped, else the
// module's version, else "devel".
func String() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Agent is how a program introduces itself to nodes, such as "lockstep/1.2.0".
func Agent(program string) string { return program + "/" + String() }

// Line is what `PROGRAM version` prints.
func Line(program string) string {
	return fmt.Sprintf("%s %s (%s, %s/%s)", program, String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

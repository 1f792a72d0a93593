// Command lockstep takes locks for shell scripts and shows what goes on in a
// Lockstep cluster. It decides nothing: package client does.
package main

import (
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

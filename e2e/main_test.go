//go:build unix

// Package e2e runs clusters of real processes, kills and stops and cuts what
// they are made of, and checks what users were promised.
package e2e

import (
	"os"
	"testing"
)

// The test binary is also the client processes that the tests kill and stop.
func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		os.Exit(runHelper(role))
	}
	os.Exit(m.Run())
}

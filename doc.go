// Package lockstep is the Go client of the Lockstep lock service over QUIC.
package lockstep

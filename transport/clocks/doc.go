// Package clocks holds the clocks that are handed to nodes and clients, and
// reads the real ones; it decides nothing about what a reading means.
package clocks

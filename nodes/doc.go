// Package nodes is one server: it puts the rooms of a node together and runs them.
// It decides in which order they start and stop, and nothing about locks; network,
// stores, clocks, randomness, logger and the way to halt are handed in.
package nodes

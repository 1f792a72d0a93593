// Package raftwire wires hashicorp/raft to this project: transport, store
// wrappers, watchdogs and a small face before them. It decides what Raft may
// see; it never lets Raft see a store's error, and knows nothing of locks.
package raftwire

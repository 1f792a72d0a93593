// Package memstore keeps a node's log, term, vote and snapshots in memory, for
// tests. It behaves like nodes/disk where Raft could tell: the log has no gaps,
// what was stored is never handed out to be changed. It survives the node, not
// the process, and refuses nothing that a disk would not.
package memstore

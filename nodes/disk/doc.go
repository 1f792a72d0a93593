// Package disk keeps a node's log, term, vote and snapshots in one directory. It
// decides whether a directory may be used and refuses one that belongs to
// another node, cluster, lineage or process, or that is damaged; it never
// repairs and never guesses.
package disk

// Package replica keeps a node's engine: it applies what Raft has committed, in
// order, and tells the node's other rooms; it decides nothing itself.
package replica

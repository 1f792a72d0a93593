// Package peers decides which stream reaches which room of a node: it keeps one
// connection per pair of nodes, checks every stream's Hello and hands the stream
// on. It refuses strangers, and never looks into what a stream carries.
package peers

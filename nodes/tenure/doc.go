// Package tenure decides when this node may speak as leader, and keeps what it
// may know only as such: lease table, log clock, proposer and confirmation
// rounds. All of it is thrown away when the term moves.
package tenure

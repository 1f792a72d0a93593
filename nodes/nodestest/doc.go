// Package nodestest runs clusters of real nodes in one process, on a simulated
// network and stores in memory, for tests. It decides nothing of its own: nodes
// elect, serve and fail as they do anywhere. Within testing/synctest time is
// virtual.
package nodestest

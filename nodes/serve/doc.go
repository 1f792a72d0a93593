// Package serve answers clients: it binds sessions to connections, turns requests
// into commands and reads, relays what needs the leader, and pushes sessions
// their events. It decides nothing that the log has to decide.
package serve

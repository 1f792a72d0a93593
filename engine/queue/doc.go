// Package queue decides in which order requests for a lock stand, which of them
// may be granted, and how many stand before one. It refuses to know what a
// request is beyond its mode.
package queue

// Package bench measures how many acquire-release pairs a running cluster does
// for a number of clients, and how long each takes; it judges nothing.
package bench

// Package watch keeps the latest events of the log and tells watchers of them, in
// order, without gaps and without doubles. It refuses to wait for a slow watcher
// and to pretend that history it no longer has did not happen.
package watch

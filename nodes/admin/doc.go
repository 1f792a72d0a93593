// Package admin answers operators' and machines' questions about a node over HTTP.
// It changes nothing and listens nowhere: who serves the handler decides who may
// ask.
package admin

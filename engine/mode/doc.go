// Package mode decides which lock modes get on with each other, and refuses to
// know who asks for them, where, or in which order.
package mode

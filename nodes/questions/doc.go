// Package questions carries what nodes ask each other beside Raft: terms for
// confirmation rounds and read indices. It gives no answer of its own.
package questions

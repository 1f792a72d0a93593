// Package engine decides who holds which lock: the pure state machine of one
// partition, a function of its log and of nothing else. It refuses to read a
// clock, to start a goroutine, to touch a file or a socket, to throw dice, and to
// let the order of a map reach an output.
//
// There is one door, Engine.Apply; reads stand beside it. DESIGN.md beside this
// file is the way in.
package engine

// Package lease decides the arithmetic of time: which TTL and grace go together,
// when a deadline lies, how long a take-over forbids weakening grants. It refuses
// to know what the time is.
package lease

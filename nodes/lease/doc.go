// Package lease decides when a session's silence is worth recording and when
// the session is over; it reads no clock, proposes nothing and trusts no
// heartbeat that was not confirmed by a round.
package lease

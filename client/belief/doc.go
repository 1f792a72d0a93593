// Package belief decides for how long a client may believe what the service has
// acknowledged; it refuses to know clocks, sessions or messages: it is arithmetic
// on readings that somebody else took.
//
// # Why it is safe
//
// r bounds how far any clock's rate is from true time: within 1-r and 1+r. The
// client counts from an instant before the service heard of the heartbeat, the
// service from an instant after. A client with the slowest clock believes for
// (TTL-grace)/(1-r) of true time, a leader with the fastest one expires after
// TTL/(1+r). The first is at most the second when grace >= 2r TTL/(1+r), which is
// [MinGrace]. For a timed hold, which the service ends after hold/(1+r) at the
// earliest, hold (1-2r)/(1-r) <= hold/(1+r) since (1-2r)(1+r) = 1-r-2r².
package belief

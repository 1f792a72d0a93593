// Package simnet is a transport.Network in memory: named hosts, connections with
// latency, streams with flow control, and faults that its owner commands. It
// decides when bytes arrive, by the clock it is given; it refuses to lose,
// double or reorder them within a stream, because QUIC would not either.
//
// Nothing happens by itself and nothing by chance: without latency a write is in
// the peer's buffer when it returns, and a timer exists only while bytes are
// under way or a peer is silent. So a test on a fake clock sees exactly the
// timers it caused.
package simnet

// Package transport decides how bytes travel between processes: connections
// with an authenticated peer, independent ordered streams by purpose, and
// frames on them. It refuses to know what the bytes mean; it imports nothing of
// the service but the generated messages.
//
// Network is the interface that nodes and clients are given. It has two
// implementations, and transporttest is the contract that both keep:
//
//   - transport/quic: QUIC with mutual TLS 1.3, for production.
//   - transport/simnet: hosts in memory with faults at the caller's command, on
//     whatever clock it is given.
//
// On a stream, FrameReader and FrameWriter put frames: a length of four bytes,
// big endian, then so many bytes. Reading allocates for bytes that came, never
// for a length that was claimed. Writing gathers the frames of many goroutines
// into few writes, which is what makes small messages cheap.
//
// transport/certs makes and reads the certificates that name principals and
// nodes; transport/clocks holds the clocks that everything is handed.
package transport

// Package quic is the transport.Network of production: QUIC with mutual TLS 1.3.
// It decides how QUIC's connections and streams become those of the contract,
// and what its errors mean; it refuses everybody whose certificate is not from
// the cluster's authority.
//
// A process has one UDP socket: what listens also dials. A stream begins with
// its purpose as one byte, sent together with the first bytes written. The
// accepting side greets each connection with one byte on a unidirectional stream
// as soon as it has verified the peer's certificate, and Dial waits for it: in
// TLS 1.3 a client is through with the handshake before the server has looked at
// its certificate, and would otherwise learn of a refusal only later, from its
// first stream. 0-RTT is off: what is sent in it can be replayed.
package quic

// Package certs makes and reads the certificates of a cluster: it decides who a
// certificate names and whether the cluster's authority vouches for it. It knows
// bytes only; where they are stored is the caller's business.
//
// A cluster has one authority. It issues certificates of two kinds, told apart
// by what they may be used for, so that no client can pose as a node:
//
//   - a node's, common name "node/ID", for serving and dialing;
//   - a client's, common name the principal, for dialing only.
//
// Nodes are recognised by the authority and their kind, not by the address they
// were dialed at: a node may move, and clusters run on loopback. Every node's
// certificate carries the DNS name NodeServerName, which dialers ask for.
//
// Keys are ECDSA on P-256. Ed25519 is a little faster where both have assembly
// (BenchmarkHandshake: 0.8 ms against 1.0 ms for a whole mutual handshake over
// loopback), which matters little for connections that last, and P-256 is
// accepted by every hardware key store, FIPS profile and browser.
package certs

// Package fingerprint decides a 64-bit fingerprint of bytes: the same on every
// machine and in every run. It refuses to keep an adversary from finding
// collisions: it compares what honest replicas computed.
package fingerprint

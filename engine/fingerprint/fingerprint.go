package fingerprint

import (
	"encoding/binary"
	"math/bits"
)

// Odd constants with well spread bits (fractions of the golden ratio and of
// square roots of primes).
const (
	k0 = 0x9e3779b97f4a7c15
	k1 = 0xbb67ae8584caa73b
	k2 = 0x3c6ef372fe94f82b
	k3 = 0xa54ff53a5f1d36f1
)

// Of returns the fingerprint of p; different seeds give unrelated fingerprints.
// It folds 16 bytes at a time by a full 64 x 64 bit multiplication.
func Of(seed uint64, p []byte) uint64 {
	h := mix(seed^k0, uint64(len(p))^k1)
	for len(p) >= 16 {
		h = mix(binary.LittleEndian.Uint64(p)^k2^h, binary.LittleEndian.Uint64(p[8:])^k3)
		p = p[16:]
	}
	if len(p) == 0 {
		return mix(h, k0)
	}
	var tail [16]byte
	copy(tail[:], p)
	h = mix(binary.LittleEndian.Uint64(tail[:])^k2^h, binary.LittleEndian.Uint64(tail[8:])^k3)
	return mix(h, k0)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	// A plain product loses everything when a factor is zero.
	return hi ^ lo ^ bits.RotateLeft64(a, 23) ^ bits.RotateLeft64(b, 47)
}

// Package transporttest is the contract of transport.Network as a test suite,
// which every implementation passes. It decides what callers may rely on; how an
// implementation is brought to life and hurt is its World's business.
package transporttest

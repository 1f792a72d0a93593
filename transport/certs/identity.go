package certs

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// NodeServerName is the DNS name in every node's certificate.
	NodeServerName = "node.lockstep.internal"
	// MaxName is the longest principal, node id or cluster name, in bytes. X.509
	// bounds a common name at 64 characters.
	MaxName = 59

	nodePrefix = "node/"
)

// Identity tells whom a certificate names: its principal and, if it is a node's,
// the node's id. It does not tell whether to believe it; see Credentials.
func Identity(cert *x509.Certificate) (principal, node string, err error) {
	name := cert.Subject.CommonName
	id, claimsNode := strings.CutPrefix(name, nodePrefix)
	switch {
	case !claimsNode:
		if err := checkPrincipal(name); err != nil {
			return "", "", fmt.Errorf("%w: %w", ErrNoIdentity, err)
		}
		return name, "", nil
	case checkName("node id", id) != nil:
		return "", "", fmt.Errorf("%w: %w", ErrNoIdentity, checkName("node id", id))
	case !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth):
		return "", "", fmt.Errorf("%w: %q says it is a node and is a client's", ErrKind, name)
	}
	return name, id, nil
}

func checkPrincipal(name string) error {
	if strings.HasPrefix(name, nodePrefix) {
		return fmt.Errorf("%w: principal %q: names beginning with %q are the nodes'", ErrName, name, nodePrefix)
	}
	return checkName("principal", name)
}

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty %s", ErrName, what)
	case len(name) > MaxName:
		return fmt.Errorf("%w: %s of %d bytes, at most %d", ErrName, what, len(name), MaxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: %s %q is not printable UTF-8", ErrName, what, name)
	}
	return nil
}

package dev

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"lockstep/cmd/lockstepd/pki"
	"lockstep/transport/certs"
)

// Principal is who the clients of a development cluster are.
const Principal = "operator"

// Certify makes the certificates that are missing: the authority's, one for each
// node, and one for clients.
func Certify(l Layout, p *Plan) error {
	now := time.Now()
	if missing(l.pki(), pki.CAFile) {
		if err := pki.Init(l.pki(), p.Cluster, certs.Validity{Now: now, For: pki.AuthorityValidity}); err != nil {
			return fmt.Errorf("making the authority: %w", err)
		}
	}
	authority, err := pki.Authority(l.pki())
	if err != nil {
		return err
	}
	leaf := certs.Validity{Now: now, For: pki.LeafValidity}
	for _, m := range p.Members {
		if !missing(l.NodeDir(m.Node), pki.NodeFile) {
			continue
		}
		host, _, err := net.SplitHostPort(m.Address)
		if err != nil {
			return err
		}
		if err := pki.IssueNode(authority, l.NodeDir(m.Node), m.Node, []string{host, "localhost"}, leaf); err != nil {
			return fmt.Errorf("making the certificate of %s: %w", m.Node, err)
		}
	}
	if missing(l.ClientDir(), pki.ClientFile) {
		if err := pki.IssueClient(authority, l.ClientDir(), Principal, leaf); err != nil {
			return fmt.Errorf("making the certificate for clients: %w", err)
		}
	}
	return nil
}

func missing(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return errors.Is(err, os.ErrNotExist)
}

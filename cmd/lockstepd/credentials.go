//go:build unix

package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"lockstep/cmd/lockstepd/exits"
	"lockstep/cmd/lockstepd/settings"
	"lockstep/transport/certs"
)

// credentials reads the node's certificate, its key and its authority, and
// refuses those of another node, and those that are not valid now.
func credentials(s *settings.Settings) (*certs.Credentials, error) {
	read := func(key, path string) ([]byte, error) {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, coded(exits.Config, "%s: %w (`lockstepd certs node %s` makes certificates)", key, err, s.Node)
		}
		return data, nil
	}
	ca, err := read("tls.ca", s.TLS.CA)
	if err != nil {
		return nil, err
	}
	cert, err := read("tls.certificate", s.TLS.Certificate)
	if err != nil {
		return nil, err
	}
	key, err := read("tls.key", s.TLS.Key)
	if err != nil {
		return nil, err
	}
	c, err := certs.Load(ca, certs.Pair{Cert: cert, Key: key}, time.Now)
	if err != nil {
		return nil, coded(exits.Config, "certificates (%s, %s, %s): %w", s.TLS.CA, s.TLS.Certificate, s.TLS.Key, err)
	}
	if c.Node != s.Node {
		who := "a client, " + c.Principal
		if c.Node != "" {
			who = "node " + c.Node
		}
		return nil, coded(exits.Config, "tls.certificate: %s is of %s, but this is node %s: issue one with `lockstepd certs node %s`", s.TLS.Certificate, who, s.Node, s.Node)
	}
	if now := time.Now(); now.After(c.NotAfter) {
		return nil, coded(exits.Config, "tls.certificate: %s expired on %s: issue a new one with `lockstepd certs node %s`",
			s.TLS.Certificate, c.NotAfter.UTC().Format(time.RFC3339), s.Node)
	}
	if err := ownerOnly(s.TLS.Key); err != nil {
		return nil, err
	}
	return c, nil
}

// ownerOnly refuses a private key that others can read.
func ownerOnly(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return coded(exits.Config, "tls.key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return coded(exits.Config, "tls.key: others can read %s: chmod 600 %s", path, path)
	}
	return nil
}

// identity is the node's certificate, read again at each SIGHUP: certificates are
// replaced without a restart.
type identity struct {
	settings *settings.Settings
	logger   *slog.Logger
	now      atomic.Pointer[certs.Credentials]
	hangups  chan os.Signal
}

func newIdentity(s *settings.Settings, logger *slog.Logger) (*identity, error) {
	first, err := credentials(s)
	if err != nil {
		return nil, err
	}
	i := &identity{settings: s, logger: logger, hangups: make(chan os.Signal, 1)}
	i.now.Store(first)
	signal.Notify(i.hangups, syscall.SIGHUP)
	go i.follow()
	return i, nil
}

// current is what a handshake shows.
func (i *identity) current() *certs.Credentials { return i.now.Load() }

// follow reads the files again when asked; what cannot be used changes nothing.
func (i *identity) follow() {
	for range i.hangups {
		next, err := credentials(i.settings)
		if err != nil {
			i.logger.Error("the certificates stay as they were", "reason", err)
			continue
		}
		i.now.Store(next)
		i.logger.Info("certificates were read again", "valid_until", next.NotAfter)
	}
}

func (i *identity) close() {
	signal.Stop(i.hangups)
	close(i.hangups)
}

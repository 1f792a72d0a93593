package certs

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Credentials are what one process shows and whom it believes. They never
// change; a rotation makes new ones.
type Credentials struct {
	certificate tls.Certificate
	authority   *x509.Certificate
	roots       *x509.CertPool
	wall        func() time.Time
	resetKey    [sha256.Size]byte

	// Principal and Node are what the certificate says; Node is "" for a client.
	Principal, Node string
	// NotAfter is when the certificate expires.
	NotAfter time.Time
}

// Load reads the authority's certificate and a process's own pair. The wall clock
// judges expiry at every handshake. The pair must be the authority's work.
func Load(authority []byte, own Pair, wall func() time.Time) (*Credentials, error) {
	ca, err := parseCert(authority)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	certificate, err := tls.X509KeyPair(own.Cert, own.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPEM, err)
	}
	c := &Credentials{
		certificate: certificate, authority: ca, roots: x509.NewCertPool(), wall: wall,
		NotAfter: certificate.Leaf.NotAfter,
	}
	c.roots.AddCert(ca)
	if c.Principal, c.Node, err = Identity(certificate.Leaf); err != nil {
		return nil, err
	}
	if err := certificate.Leaf.CheckSignatureFrom(ca); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrStranger, c.Principal, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("%w: private key: %w", ErrPEM, err)
	}
	mac := hmac.New(sha256.New, keyDER)
	mac.Write([]byte("lockstep stateless reset"))
	mac.Sum(c.resetKey[:0])
	return c, nil
}

// ResetKey is a secret that survives a restart with the same private key. A
// transport uses it to tell peers that it forgot their connections.
func (c *Credentials) ResetKey() [sha256.Size]byte { return c.resetKey }

// ServerTLS returns a configuration for accepting connections: TLS 1.3, and a
// certificate of the authority from everybody. Refused is told of each peer that
// was turned away, with one of this package's errors; it may be nil.
func (c *Credentials) ServerTLS(protocol string, refused func(error)) *tls.Config {
	cfg := c.base(protocol)
	cfg.ClientAuth = tls.RequireAnyClientCert // and VerifyConnection judges it
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		err := c.verify(state.PeerCertificates, x509.ExtKeyUsageClientAuth, "")
		if err != nil && refused != nil {
			refused(err)
		}
		return err
	}
	return cfg
}

// ClientTLS returns a configuration for dialing: TLS 1.3, and only to nodes of
// the authority. A handshake with anybody else fails with one of this package's
// errors.
func (c *Credentials) ClientTLS(protocol string) *tls.Config {
	cfg := c.base(protocol)
	cfg.ServerName = NodeServerName
	// Verification is VerifyConnection's, so that its errors are ours; without
	// this, crypto/tls would verify first, and the same.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		return c.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth, NodeServerName)
	}
	// The own certificate is shown whatever authorities the server names: it shall
	// refuse a stranger for being one, not for showing nothing.
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &c.certificate, nil
	}
	return cfg
}

func (c *Credentials) base(protocol string) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{c.certificate},
		NextProtos:   []string{protocol},
		MinVersion:   tls.VersionTLS13,
		Time:         c.wall,
		// A resumed session would carry an identity past its certificate's rotation.
		SessionTicketsDisabled: true,
	}
}

// verify judges what a peer showed. Chains are one step long: the authority
// issues every certificate itself.
func (c *Credentials) verify(shown []*x509.Certificate, usage x509.ExtKeyUsage, dnsName string) error {
	if len(shown) == 0 {
		return ErrNoCertificate
	}
	leaf := shown[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: c.roots, CurrentTime: c.wall(), DNSName: dnsName, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return explain(leaf, err)
	}
	_, _, err = Identity(leaf)
	return err
}

// explain turns what x509 says into this package's errors.
func explain(leaf *x509.Certificate, err error) error {
	name := leaf.Subject.CommonName
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason { //nolint:exhaustive // the rest of x509's reasons are told in its words
		case x509.Expired:
			return fmt.Errorf("%w: %q: valid from %v to %v", ErrExpired, name,
				leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
		case x509.IncompatibleUsage:
			return fmt.Errorf("%w: %q may not be used this way", ErrKind, name)
		}
	}
	var host x509.HostnameError
	if errors.As(err, &host) {
		return fmt.Errorf("%w: %q is not a node's", ErrKind, name)
	}
	return fmt.Errorf("%w: %q: %w", ErrStranger, name, err)
}

package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// serialBits makes serial numbers unique without a register of them.
const serialBits = 127

// backdate is by how much certificates are valid before they are made, for
// machines whose clocks are behind.
const backdate = 5 * time.Minute

// Authority is a cluster's certificate authority. Who has its key can be any
// node and any client of the cluster.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Pair is a certificate and its private key, PEM encoded.
type Pair struct{ Cert, Key []byte }

// Validity is when a certificate is valid.
type Validity struct {
	// Now is the wall time of making it.
	Now time.Time
	// For is how long it is valid from then; positive.
	For time.Duration
}

// NewAuthority makes an authority for the cluster of that name.
func NewAuthority(cluster string, validity Validity) (*Authority, error) {
	if err := checkName("cluster", cluster); err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(cluster+" authority", validity)
	if err != nil {
		return nil, err
	}
	template.Subject.Organization = []string{cluster}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certs: make authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certs: make authority: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// LoadAuthority reads what Authority.Pair wrote.
func LoadAuthority(pair Pair) (*Authority, error) {
	cert, err := parseCert(pair.Cert)
	if err != nil {
		return nil, err
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("%w: %q is not an authority's certificate", ErrPEM, cert.Subject.CommonName)
	}
	key, err := parseKey(pair.Key)
	if err != nil {
		return nil, err
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%w: the authority's key does not belong to its certificate", ErrPEM)
	}
	return &Authority{cert: cert, key: key}, nil
}

// Pair encodes the authority. Everybody needs the certificate; the key stays
// with who issues certificates.
func (a *Authority) Pair() (Pair, error) { return encode(a.cert.Raw, a.key) }

// IssueNode makes the certificate of a node. Hosts are DNS names and IP addresses
// under which tools may reach it; they may be none.
func (a *Authority) IssueNode(id string, hosts []string, validity Validity) (Pair, error) {
	if err := checkName("node id", id); err != nil {
		return Pair{}, err
	}
	template, err := newTemplate(nodePrefix+id, validity)
	if err != nil {
		return Pair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.DNSNames = []string{NodeServerName}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(template)
}

// IssueClient makes the certificate of a client that acts as the principal.
func (a *Authority) IssueClient(principal string, validity Validity) (Pair, error) {
	if err := checkPrincipal(principal); err != nil {
		return Pair{}, err
	}
	template, err := newTemplate(principal, validity)
	if err != nil {
		return Pair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(template)
}

func (a *Authority) issue(template *x509.Certificate) (Pair, error) {
	template.Subject.Organization = a.cert.Subject.Organization
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	key, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("certs: issue for %q: %w", template.Subject.CommonName, err)
	}
	return encode(der, key)
}

func newKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certs: make key: %w", err)
	}
	return key, nil
}

func newTemplate(commonName string, validity Validity) (*x509.Certificate, error) {
	if validity.For <= 0 || validity.Now.IsZero() {
		return nil, fmt.Errorf("certs: validity of %v from %v is none", validity.For, validity.Now)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("certs: make serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    validity.Now.Add(-backdate),
		NotAfter:     validity.Now.Add(validity.For),
	}, nil
}

func encode(der []byte, key crypto.Signer) (Pair, error) {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("certs: encode key: %w", err)
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: keyDER}),
	}, nil
}

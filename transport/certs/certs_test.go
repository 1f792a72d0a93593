package certs_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lockstep/transport/certs"
)

const protocol = "test/1"

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	year = certs.Validity{Now: now, For: 365 * 24 * time.Hour}
	wall = func() time.Time { return now }
)

// cluster is an authority and a way to get credentials from it.
type cluster struct {
	authority *certs.Authority
	ca        certs.Pair
}

func newCluster(tb testing.TB) cluster {
	tb.Helper()
	authority, err := certs.NewAuthority("test", year)
	require.NoError(tb, err)
	ca, err := authority.Pair()
	require.NoError(tb, err)
	return cluster{authority, ca}
}

func (c cluster) node(tb testing.TB, id string) *certs.Credentials {
	tb.Helper()
	pair, err := c.authority.IssueNode(id, []string{"127.0.0.1", "localhost"}, year)
	require.NoError(tb, err)
	return c.load(tb, pair)
}

func (c cluster) client(tb testing.TB, principal string) *certs.Credentials {
	tb.Helper()
	pair, err := c.authority.IssueClient(principal, year)
	require.NoError(tb, err)
	return c.load(tb, pair)
}

func (c cluster) load(tb testing.TB, pair certs.Pair) *certs.Credentials {
	tb.Helper()
	credentials, err := certs.Load(c.ca.Cert, pair, wall)
	require.NoError(tb, err)
	return credentials
}

// handshake runs TLS between two parties and returns what each side says.
func handshake(tb testing.TB, server, client *tls.Config) (serverErr, clientErr error) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer listener.Close()
	there, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(tb, err)
	here, err := listener.Accept()
	require.NoError(tb, err)
	defer here.Close()
	defer there.Close()
	done := make(chan error, 1)
	accepting := tls.Server(here, server)
	go func() {
		err := accepting.HandshakeContext(context.Background())
		done <- err
		here.Close()
	}()
	dialing := tls.Client(there, client)
	clientErr = dialing.HandshakeContext(context.Background())
	if clientErr != nil {
		there.Close()
	} else {
		_, _ = dialing.Read(make([]byte, 1)) // drains the alert of a server that refuses later
	}
	serverErr = <-done
	return serverErr, clientErr
}

func TestHandshake(t *testing.T) {
	home, elsewhere := newCluster(t), newCluster(t)
	n1, n2, alice := home.node(t, "n1"), home.node(t, "n2"), home.client(t, "alice")
	mallory, malloryNode := elsewhere.client(t, "mallory"), elsewhere.node(t, "n1")
	for _, c := range []struct {
		name           string
		server, client *certs.Credentials
		clientErr      error
	}{
		{name: "client at a node", server: n1, client: alice},
		{name: "node at a node", server: n1, client: n2},
		{name: "stranger at a node", server: n1, client: mallory, clientErr: certs.ErrStranger},
		{name: "strange node at a node", server: n1, client: malloryNode, clientErr: certs.ErrStranger},
		{name: "client at a strange node", server: malloryNode, client: alice, clientErr: certs.ErrStranger},
		{name: "client at a client", server: alice, client: n1, clientErr: certs.ErrKind},
	} {
		t.Run(c.name, func(t *testing.T) {
			serverErr, clientErr := handshake(t,
				c.server.ServerTLS(protocol, nil), c.client.ClientTLS(protocol))
			if c.clientErr != nil {
				require.ErrorIs(t, clientErr, c.clientErr)
				require.Error(t, serverErr)
				return
			}
			require.NoError(t, serverErr)
			require.NoError(t, clientErr)
		})
	}
}

func TestHandshake_ServerRefusesStranger(t *testing.T) {
	home := newCluster(t)
	// A stranger who trusts our authority and has a certificate from elsewhere.
	mallory := home.client(t, "alice").ClientTLS(protocol)
	mallory.GetClientCertificate = newCluster(t).client(t, "mallory").ClientTLS(protocol).GetClientCertificate

	var refused error
	serverErr, _ := handshake(t, home.node(t, "n1").ServerTLS(protocol, func(err error) { refused = err }), mallory)
	require.ErrorIs(t, serverErr, certs.ErrStranger)
	require.ErrorIs(t, refused, certs.ErrStranger)
	require.ErrorContains(t, refused, "mallory")
}

func TestHandshake_Expired(t *testing.T) {
	home := newCluster(t)
	n1 := home.node(t, "n1")
	pair, err := home.authority.IssueClient("alice", certs.Validity{Now: now.Add(-48 * time.Hour), For: time.Hour})
	require.NoError(t, err)
	serverErr, _ := handshake(t, n1.ServerTLS(protocol, nil), home.load(t, pair).ClientTLS(protocol))
	require.ErrorIs(t, serverErr, certs.ErrExpired)
	require.ErrorContains(t, serverErr, "alice")
}

func TestHandshake_NothingShown(t *testing.T) {
	n1 := newCluster(t).node(t, "n1")
	bare := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS13}
	serverErr, _ := handshake(t, n1.ServerTLS(protocol, nil), bare)
	require.Error(t, serverErr)
}

func TestHandshake_OldTLS(t *testing.T) {
	home := newCluster(t)
	old := home.client(t, "alice").ClientTLS(protocol)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	serverErr, clientErr := handshake(t, home.node(t, "n1").ServerTLS(protocol, nil), old)
	require.Error(t, serverErr)
	require.Error(t, clientErr)
}

func TestIdentity(t *testing.T) {
	home := newCluster(t)
	n1, alice := home.node(t, "n1"), home.client(t, "alice")
	require.Equal(t, [2]string{"node/n1", "n1"}, [2]string{n1.Principal, n1.Node})
	require.Equal(t, [2]string{"alice", ""}, [2]string{alice.Principal, alice.Node})
	require.Equal(t, now.Add(year.For), alice.NotAfter)

	both := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for _, c := range []struct {
		name, commonName string
		usage            []x509.ExtKeyUsage
		want             error
	}{
		{"a client that says it is a node", "node/n1", both[:1], certs.ErrKind},
		{"a node without an id", "node/", both, certs.ErrNoIdentity},
		{"nobody", "", both, certs.ErrNoIdentity},
		{"control characters", "al\nice", both, certs.ErrNoIdentity},
		{"broken UTF-8", "al\xffice", both, certs.ErrNoIdentity},
		{"too long", strings.Repeat("x", 100), both, certs.ErrNoIdentity},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := certs.Identity(&x509.Certificate{Subject: pkix.Name{CommonName: c.commonName}, ExtKeyUsage: c.usage})
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestIssue_BadNames(t *testing.T) {
	home := newCluster(t)
	for _, name := range []string{"", "node/n2", "a\x00b", strings.Repeat("x", certs.MaxName+1)} {
		_, err := home.authority.IssueClient(name, year)
		require.ErrorIs(t, err, certs.ErrName, "%q", name)
	}
	_, err := home.authority.IssueNode("", nil, year)
	require.ErrorIs(t, err, certs.ErrName)
	_, err = certs.NewAuthority("", year)
	require.ErrorIs(t, err, certs.ErrName)
	_, err = home.authority.IssueClient("alice", certs.Validity{Now: now})
	require.Error(t, err)
	_, err = home.authority.IssueNode(strings.Repeat("x", certs.MaxName), nil, year)
	require.NoError(t, err)
}

func TestLoad(t *testing.T) {
	home, elsewhere := newCluster(t), newCluster(t)
	alice, err := home.authority.IssueClient("alice", year)
	require.NoError(t, err)
	other, err := elsewhere.authority.IssueClient("alice", year)
	require.NoError(t, err)
	for _, c := range []struct {
		name string
		ca   []byte
		pair certs.Pair
		want error
	}{
		{"no authority", nil, alice, certs.ErrPEM},
		{"key for certificate", alice.Key, alice, certs.ErrPEM},
		{"garbage in the block", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), alice, certs.ErrPEM},
		{"no pair", home.ca.Cert, certs.Pair{}, certs.ErrPEM},
		{"key of another", home.ca.Cert, certs.Pair{Cert: alice.Cert, Key: other.Key}, certs.ErrPEM},
		{"pair of another cluster", home.ca.Cert, other, certs.ErrStranger},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := certs.Load(c.ca, c.pair, wall)
			require.ErrorIs(t, err, c.want)
		})
	}
	first, err := certs.Load(home.ca.Cert, alice, wall)
	require.NoError(t, err)
	again, err := certs.Load(home.ca.Cert, alice, wall)
	require.NoError(t, err)
	require.Equal(t, first.ResetKey(), again.ResetKey())
	require.NotEqual(t, first.ResetKey(), home.client(t, "alice").ResetKey())
}

func TestLoadAuthority(t *testing.T) {
	home := newCluster(t)
	again, err := certs.LoadAuthority(home.ca)
	require.NoError(t, err)
	pair, err := again.IssueClient("bob", certs.Validity{Now: now, For: 100 * year.For})
	require.NoError(t, err)
	require.Equal(t, now.Add(year.For), home.load(t, pair).NotAfter, "never beyond the authority's own")

	alice, err := home.authority.IssueClient("alice", year)
	require.NoError(t, err)
	for name, pair := range map[string]certs.Pair{
		"nothing":         {},
		"a client's":      alice,
		"a key of others": {Cert: home.ca.Cert, Key: newCluster(t).ca.Key},
		"no key":          {Cert: home.ca.Cert},
		"garbage for key": {Cert: home.ca.Cert, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})},
	} {
		_, err := certs.LoadAuthority(pair)
		require.ErrorIs(t, err, certs.ErrPEM, name)
	}
}

// BenchmarkHandshake is why keys are on P-256: see the package's documentation.
func BenchmarkHandshake(b *testing.B) {
	for _, c := range []struct {
		name string
		make func() crypto.Signer
	}{
		{"p256", func() crypto.Signer { k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return k }},
		{"ed25519", func() crypto.Signer { _, k, _ := ed25519.GenerateKey(rand.Reader); return k }},
	} {
		b.Run(c.name, func(b *testing.B) {
			ca, root := c.make(), &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: now}
			rootDER, err := x509.CreateCertificate(rand.Reader, root, root, ca.Public(), ca)
			require.NoError(b, err)
			parsed, err := x509.ParseCertificate(rootDER)
			require.NoError(b, err)
			pool := x509.NewCertPool()
			pool.AddCert(parsed)
			key, leaf := c.make(), &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"x"}, NotAfter: now}
			der, err := x509.CreateCertificate(rand.Reader, leaf, parsed, key.Public(), ca)
			require.NoError(b, err)
			cfg := &tls.Config{
				Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
				RootCAs:      pool, ClientCAs: pool, ServerName: "x", ClientAuth: tls.RequireAndVerifyClientCert,
				MinVersion: tls.VersionTLS13, Time: func() time.Time { return now.Add(-time.Hour) }, SessionTicketsDisabled: true,
			}
			for b.Loop() {
				if serverErr, clientErr := handshake(b, cfg, cfg); serverErr != nil || clientErr != nil {
					b.Fatal(serverErr, clientErr)
				}
			}
		})
	}
}

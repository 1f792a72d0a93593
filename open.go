package lockstep

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"log/slog"
	"math/rand/v2"

	"lockstep/client"
	"lockstep/transport/certs"
	"lockstep/transport/clocks/system"
	"lockstep/transport/quic"
)

// Open connects to the cluster that has nodes at endpoints and returns when one
// has answered, or ctx ended.
//
// What is not given is looked for: endpoints in the environment variable
// LOCKSTEP_ENDPOINTS, certificates in LOCKSTEP_CA, LOCKSTEP_CERT and
// LOCKSTEP_KEY, and what is still missing in the data directory of `lockstepd
// dev`: WithDataDir, else LOCKSTEP_DATA, else ./data.
//
// Errors wrap ErrInvalid when something is missing or unreadable, and are those
// of client.Open otherwise.
func Open(ctx context.Context, endpoints []string, opts ...Option) (*Client, error) {
	o := &options{connections: 1}
	for _, opt := range opts {
		opt(o)
	}
	found, err := o.find(endpoints)
	if err != nil {
		return nil, err
	}
	clocks := system.Clocks()
	credentials, err := certs.Load(found.tls.ca, certs.Pair{Cert: found.tls.cert, Key: found.tls.key}, clocks.Wall)
	if err != nil {
		return nil, fmt.Errorf("%w: certificates from %s: %w", ErrInvalid, found.tlsFrom, err)
	}
	logger := o.logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	network, err := quic.New(quic.DefaultConfig(), quic.Deps{
		Sockets: quic.UDP, Credentials: func() *certs.Credentials { return credentials }, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	release := func() { _ = network.Close() } // every connection is closed already
	c, err := client.Open(ctx, o.config(found.endpoints), client.Deps{
		Network: network, Clocks: clocks, Rand: random(), Logger: o.logger, Closed: release,
	})
	if err != nil {
		release()
		return nil, err
	}
	return c, nil
}

func (o *options) config(endpoints []string) client.Config {
	cfg := client.DefaultConfig(endpoints...)
	cfg.Cluster, cfg.Agent, cfg.Connections = o.cluster, o.agent, o.connections
	if o.requestTimeoutSet {
		cfg.RequestTimeout = o.requestTimeout
	}
	return cfg
}

// random is a generator that nobody can guess: session secrets come from it.
func random() *rand.Rand {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails: it ends the program instead
	return rand.New(rand.NewChaCha8(seed))
}

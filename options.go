package lockstep

import (
	"log/slog"
	"time"
)

// Environment variables that Open reads where options say nothing.
const (
	// EnvEndpoints: addresses separated by commas.
	EnvEndpoints = "LOCKSTEP_ENDPOINTS"
	// EnvCA, EnvCert and EnvKey: PEM files, as for WithTLSFiles.
	EnvCA   = "LOCKSTEP_CA"
	EnvCert = "LOCKSTEP_CERT"
	EnvKey  = "LOCKSTEP_KEY"
	// EnvData: the data directory of `lockstepd dev`, as for WithDataDir.
	EnvData = "LOCKSTEP_DATA"
)

// DefaultDataDir is where `lockstepd dev` keeps its data unless told otherwise.
const DefaultDataDir = "./data"

// Option shapes Open.
type Option func(*options)

type options struct {
	pem               *pemBytes
	ca, cert, key     string
	dataDir           string
	cluster, agent    string
	connections       int
	requestTimeout    time.Duration
	requestTimeoutSet bool
	logger            *slog.Logger
}

type pemBytes struct{ ca, cert, key []byte }

// WithTLS gives the certificate of the cluster's authority and this client's
// certificate and key, PEM encoded.
func WithTLS(ca, cert, key []byte) Option {
	return func(o *options) { o.pem = &pemBytes{ca, cert, key} }
}

// WithTLSFiles names the PEM files of the cluster's authority and of this
// client's certificate and key.
func WithTLSFiles(ca, cert, key string) Option {
	return func(o *options) { o.ca, o.cert, o.key = ca, cert, key }
}

// WithDataDir names the data directory of a `lockstepd dev` cluster, from whose
// folder client/ the endpoints and certificates are read.
func WithDataDir(dir string) Option { return func(o *options) { o.dataDir = dir } }

// WithCluster refuses nodes of another cluster.
func WithCluster(name string) Option { return func(o *options) { o.cluster = name } }

// WithAgent names the program and its version in the nodes' logs.
func WithAgent(agent string) Option { return func(o *options) { o.agent = agent } }

// WithConnections spreads sessions over n connections, 1 to client.MaxConnections.
func WithConnections(n int) Option { return func(o *options) { o.connections = n } }

// WithRequestTimeout is how long a request may go without an answer; 0: for as
// long as its context. See client.Config.
func WithRequestTimeout(d time.Duration) Option {
	return func(o *options) { o.requestTimeout, o.requestTimeoutSet = d, true }
}

// WithLogger takes what an operator may want to know; by default nothing is logged.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

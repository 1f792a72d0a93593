package lockstep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files in the folder client/ of a data directory.
const (
	fileEndpoints = "endpoints"
	fileCA        = "ca.pem"
	fileCert      = "client.pem"
	fileKey       = "client-key.pem"
)

// place is where a cluster is and what this client shows to it.
type place struct {
	endpoints []string
	tls       pemBytes
	// tlsFrom says where the certificates were found, for messages.
	tlsFrom string
}

// find takes what the options say, then the environment, then the data directory.
func (o *options) find(endpoints []string) (place, error) {
	var p place
	var err error
	if p.endpoints = clean(endpoints); len(p.endpoints) == 0 {
		p.endpoints = clean(strings.Split(os.Getenv(EnvEndpoints), ","))
	}
	if len(p.endpoints) == 0 {
		if p.endpoints, err = o.endpointsOfData(); err != nil {
			return place{}, err
		}
	}
	if o.pem != nil {
		p.tls, p.tlsFrom = *o.pem, "the given bytes"
		return p, nil
	}
	ca, cert, key := first(o.ca, os.Getenv(EnvCA)), first(o.cert, os.Getenv(EnvCert)), first(o.key, os.Getenv(EnvKey))
	given := 0
	for _, file := range []string{ca, cert, key} {
		if file != "" {
			given++
		}
	}
	switch given {
	case 0:
		dir := o.clientDir()
		ca, cert, key = filepath.Join(dir, fileCA), filepath.Join(dir, fileCert), filepath.Join(dir, fileKey)
	case 3:
	default:
		return place{}, fmt.Errorf("%w: authority %q, certificate %q, key %q: name all three files, or none to use those in %s",
			ErrInvalid, ca, cert, key, o.clientDir())
	}
	p.tlsFrom = filepath.Dir(cert)
	for _, f := range []struct {
		name string
		into *[]byte
	}{{ca, &p.tls.ca}, {cert, &p.tls.cert}, {key, &p.tls.key}} {
		if *f.into, err = os.ReadFile(f.name); err != nil {
			return place{}, fmt.Errorf("%w: %w; name certificates by option or by %s, %s and %s", ErrInvalid, err, EnvCA, EnvCert, EnvKey)
		}
	}
	return p, nil
}

func (o *options) endpointsOfData() ([]string, error) {
	file := filepath.Join(o.clientDir(), fileEndpoints)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no cluster is known: there is no %s; start one with `lockstepd dev`, name its data directory (%s), or endpoints (%s)",
			ErrInvalid, file, EnvData, EnvEndpoints)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	endpoints := clean(strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' || r == ',' }))
	if len(endpoints) == 0 {
		return nil, fmt.Errorf("%w: %s names no endpoint", ErrInvalid, file)
	}
	return endpoints, nil
}

func (o *options) clientDir() string {
	return filepath.Join(first(o.dataDir, os.Getenv(EnvData), DefaultDataDir), "client")
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// clean drops blanks.
func clean(values []string) []string {
	var out []string
	for _, v := range values {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

package dev

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// Cluster is the name of development clusters.
	Cluster = "dev"
	// MaxNodes bounds a development cluster.
	MaxNodes = 9
)

// Member is one node as the data directory remembers it.
type Member struct {
	Node    string `json:"node"`
	Address string `json:"address"`
	Admin   string `json:"admin"`
}

// Plan is what the first start decided and later starts keep: a cluster's
// addresses are part of its replicated configuration.
type Plan struct {
	Version int      `json:"version"`
	Cluster string   `json:"cluster"`
	Members []Member `json:"members"`
}

const planVersion = 1

// Layout names everything in the data directory.
type Layout struct{ Root string }

func (l Layout) plan() string     { return filepath.Join(l.Root, "dev.json") }
func (l Layout) lockFile() string { return filepath.Join(l.Root, "dev.lock") }
func (l Layout) pki() string      { return filepath.Join(l.Root, "pki") }

// NodeDir is the folder of one node, Config its configuration.
func (l Layout) NodeDir(node string) string { return filepath.Join(l.Root, node) }

// Config is the configuration file of one node.
func (l Layout) Config(node string) string { return filepath.Join(l.NodeDir(node), "node.yaml") }

// ClientDir is where clients find endpoints and certificates.
func (l Layout) ClientDir() string { return filepath.Join(l.Root, "client") }

// ErrPlan is returned for a data directory that cannot be used as asked.
var ErrPlan = errors.New("data directory")

// readPlan returns nil when the directory is new.
func (l Layout) readPlan() (*Plan, error) {
	data, err := os.ReadFile(l.plan())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	var p Plan
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil || p.Version != planVersion || len(p.Members) == 0 {
		return nil, fmt.Errorf("%w: %s is not what this version writes: use another directory with --data, or delete %s to lose the cluster", ErrPlan, l.plan(), l.Root)
	}
	return &p, nil
}

// write creates or replaces a file as a whole: a crash leaves the old one or
// the new one.
func write(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// nodeConfig is the configuration file of one node, as a person would write it.
func (l Layout) nodeConfig(p *Plan, m Member) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by lockstepd dev at the first start, and read at each one: edit it if you like.\n"+
		"# lockstepd serve --help explains every option.\n"+
		"node: %s\ncluster: %s\nlisten: %s\ndata: data\nmembers:\n", m.Node, p.Cluster, m.Address)
	for _, other := range p.Members {
		fmt.Fprintf(&b, "  %s: %s\n", other.Node, other.Address)
	}
	fmt.Fprintf(&b, "tls:\n  ca: ca.pem\n  certificate: node.pem\n  key: node-key.pem\nadmin:\n  listen: %s\n  pprof: true\n", m.Admin)
	return []byte(b.String())
}

// endpoints is the file from which clients learn the addresses.
func (p *Plan) endpoints() []byte {
	var addresses []string
	for _, m := range p.Members {
		addresses = append(addresses, m.Address)
	}
	return []byte(strings.Join(addresses, ",") + "\n")
}

package pki

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lockstep/transport/certs"
)

// Names of the files.
const (
	// CAFile is the authority's certificate, which everybody needs.
	CAFile = "ca.pem"
	// CAKeyFile is the authority's key: who has it can be any node and any client.
	CAKeyFile = "ca-key.pem"
	// NodeFile and NodeKeyFile are a node's.
	NodeFile    = "node.pem"
	NodeKeyFile = "node-key.pem"
	// ClientFile and ClientKeyFile are a client's.
	ClientFile    = "client.pem"
	ClientKeyFile = "client-key.pem"
)

const (
	// AuthorityValidity is how long an authority is valid unless said otherwise.
	AuthorityValidity = 10 * 365 * 24 * time.Hour
	// LeafValidity is how long the certificates of nodes and clients are.
	LeafValidity = 2 * 365 * 24 * time.Hour
)

// ErrExists is returned instead of overwriting a file.
var ErrExists = errors.New("file exists already")

// Init makes an authority for the cluster in dir.
func Init(dir, cluster string, validity certs.Validity) error {
	authority, err := certs.NewAuthority(cluster, validity)
	if err != nil {
		return err
	}
	pair, err := authority.Pair()
	if err != nil {
		return err
	}
	return save(dir, files{cert: CAFile, key: CAKeyFile}, pair, nil)
}

// Authority reads the authority in dir.
func Authority(dir string) (*certs.Authority, error) {
	cert, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil {
		return nil, fmt.Errorf("no authority in %s (`lockstepd certs init` makes one): %w", dir, err)
	}
	key, err := os.ReadFile(filepath.Join(dir, CAKeyFile))
	if err != nil {
		return nil, fmt.Errorf("the authority's key is needed to issue certificates: %w", err)
	}
	authority, err := certs.LoadAuthority(certs.Pair{Cert: cert, Key: key})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return authority, nil
}

// IssueNode writes certificate, key and the authority's certificate for a node
// to dir.
func IssueNode(a *certs.Authority, dir, node string, hosts []string, validity certs.Validity) error {
	pair, err := a.IssueNode(node, hosts, validity)
	if err != nil {
		return err
	}
	return save(dir, files{cert: NodeFile, key: NodeKeyFile}, pair, a)
}

// IssueClient writes certificate, key and the authority's certificate for a
// client that acts as the principal to dir.
func IssueClient(a *certs.Authority, dir, principal string, validity certs.Validity) error {
	pair, err := a.IssueClient(principal, validity)
	if err != nil {
		return err
	}
	return save(dir, files{cert: ClientFile, key: ClientKeyFile}, pair, a)
}

type files struct{ cert, key string }

// save writes a pair, and the certificate of the authority beside it. The key
// comes first and is readable for its owner alone.
func save(dir string, names files, pair certs.Pair, a *certs.Authority) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := create(filepath.Join(dir, names.key), pair.Key, 0o600); err != nil {
		return err
	}
	if err := create(filepath.Join(dir, names.cert), pair.Cert, 0o644); err != nil {
		return err
	}
	if a == nil {
		return nil
	}
	ca, err := a.Pair()
	if err != nil {
		return err
	}
	// It may be there already: several certificates of one authority share it.
	path := filepath.Join(dir, CAFile)
	if have, err := os.ReadFile(path); err == nil {
		if string(have) != string(ca.Cert) {
			return fmt.Errorf("%w: %s is another authority's: choose another folder", ErrExists, path)
		}
		return nil
	}
	return create(path, ca.Cert, 0o644)
}

func create(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s: move it away to replace it", ErrExists, path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

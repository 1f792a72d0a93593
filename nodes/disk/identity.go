//go:build unix

package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// identityRecord is the identity file.
type identityRecord struct {
	Format int `json:"format"`
	Identity
}

const identityFormat = 1

// ReadIdentity tells whose directory it is; an error that wraps fs.ErrNotExist
// if it is nobody's yet, ErrDamaged if the file makes no sense.
func ReadIdentity(directory string) (Identity, error) {
	path := filepath.Join(directory, identityFile)
	data, err := readBounded(path, maxIdentity)
	if err != nil {
		return Identity{}, err
	}
	var record identityRecord
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&record); err != nil {
		return Identity{}, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	if record.Format != identityFormat {
		return Identity{}, fmt.Errorf("%w: %s has format %d, this program knows %d", ErrDamaged, path, record.Format, identityFormat)
	}
	if record.Cluster == "" || record.Node == "" || record.Lineage == 0 {
		return Identity{}, fmt.Errorf("%w: %s is incomplete", ErrDamaged, path)
	}
	return record.Identity, nil
}

// claim checks that the directory is want's, or makes it so if it is new. It
// returns the identity with its lineage.
func claim(directory string, want Identity) (Identity, error) {
	have, err := ReadIdentity(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return found(directory, want)
	}
	if err != nil {
		return Identity{}, err
	}
	if want.Lineage == 0 {
		want.Lineage = have.Lineage
	}
	if have != want {
		return Identity{}, fmt.Errorf("%w: %s is of cluster %q, node %q, lineage %d, not of cluster %q, node %q, lineage %d: "+
			"check the data directory and the configuration", ErrForeign, directory,
			have.Cluster, have.Node, have.Lineage, want.Cluster, want.Node, want.Lineage)
	}
	return have, nil
}

// found writes the identity of a new directory.
func found(directory string, identity Identity) (Identity, error) {
	for _, name := range []string{logDir, snapshotDir} {
		if _, err := os.Stat(filepath.Join(directory, name)); err == nil {
			return Identity{}, fmt.Errorf("%w: %s has data, but its %s is missing", ErrDamaged, directory, identityFile)
		}
	}
	if identity.Lineage == 0 {
		identity.Lineage = 1
	}
	data, err := json.MarshalIndent(identityRecord{Format: identityFormat, Identity: identity}, "", "  ")
	if err != nil {
		return Identity{}, err
	}
	return identity, writeDurably(filepath.Join(directory, identityFile), append(data, '\n'))
}

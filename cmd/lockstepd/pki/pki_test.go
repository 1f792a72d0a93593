package pki

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/transport/certs"
)

func validity() certs.Validity { return certs.Validity{Now: time.Now(), For: time.Hour} }

func TestIssuesWhatCredentialsLoad(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Init(dir, "dev", validity()))
	a, err := Authority(dir)
	require.NoError(t, err)
	node, client := filepath.Join(dir, "n1"), filepath.Join(dir, "client")
	require.NoError(t, IssueNode(a, node, "n1", []string{"127.0.0.1"}, validity()))
	require.NoError(t, IssueClient(a, client, "operator", validity()))
	for _, f := range []struct{ dir, cert, key string }{{node, NodeFile, NodeKeyFile}, {client, ClientFile, ClientKeyFile}} {
		read := func(name string) []byte {
			data, err := os.ReadFile(filepath.Join(f.dir, name))
			require.NoError(t, err)
			return data
		}
		_, err := certs.Load(read(CAFile), certs.Pair{Cert: read(f.cert), Key: read(f.key)}, time.Now)
		require.NoError(t, err)
		info, err := os.Stat(filepath.Join(f.dir, f.key))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "keys are their owner's alone")
	}
}

func TestOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Init(dir, "dev", validity()))
	require.ErrorIs(t, Init(dir, "dev", validity()), ErrExists)
	a, err := Authority(dir)
	require.NoError(t, err)
	require.NoError(t, IssueNode(a, dir, "n1", nil, validity()))
	require.ErrorIs(t, IssueNode(a, dir, "n1", nil, validity()), ErrExists)

	other := t.TempDir()
	require.NoError(t, Init(other, "dev", validity()))
	b, err := Authority(other)
	require.NoError(t, err)
	err = IssueClient(b, dir, "operator", validity())
	require.ErrorIs(t, err, ErrExists)
	assert.Contains(t, err.Error(), "another authority's")
}

func TestNoAuthoritySaysWhatToDo(t *testing.T) {
	_, err := Authority(t.TempDir())
	require.Error(t, err)
	assert.Contains(t, err.Error(), "`lockstepd certs init` makes one")
}

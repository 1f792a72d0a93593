package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const whole = `node: n1
cluster: dev
listen: 127.0.0.1:7411
data: data
members:
  n1: 127.0.0.1:7411
  n2: 127.0.0.1:7412
tls:
  ca: pki/ca.pem
  certificate: /etc/lockstep/node.pem
  key: /etc/lockstep/node-key.pem
raft:
  heartbeat-timeout: 1s
  election-timeout: 2s
disk:
  min-free: 1GiB
log:
  level: warn
`

func load(t *testing.T, content string) (*Loaded, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "node.yaml")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	l := New()
	return l, l.ReadFile(file)
}

func TestReadsWholeFile(t *testing.T) {
	l, err := load(t, whole)
	require.NoError(t, err)
	require.NoError(t, l.Validate())
	assert.Equal(t, "n1", l.Node)
	assert.Equal(t, map[string]string{"n1": "127.0.0.1:7411", "n2": "127.0.0.1:7412"}, l.Members)
	assert.Equal(t, time.Second, l.Raft.HeartbeatTimeout)
	assert.Equal(t, Bytes(1<<30), l.Disk.MinFree)
	assert.Equal(t, 750*time.Millisecond, l.Raft.LeaderLease, "untouched options keep their defaults")
	dir := filepath.Dir(l.File)
	assert.Equal(t, filepath.Join(dir, "data"), l.Data, "relative paths are relative to the file")
	assert.Equal(t, filepath.Join(dir, "pki/ca.pem"), l.TLS.CA)
	assert.Equal(t, "/etc/lockstep/node.pem", l.TLS.Certificate)
}

// Each bad file says which key, in which line, and what to do.
func TestRefusesBadFiles(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"typo", "nodee: n1\n", `node.yaml:1: nodee: no such option (did you mean "node"?)`},
		{"typo in a group", "raft:\n  heartbeat-timeot: 1s\n", `node.yaml:2: raft.heartbeat-timeot: no such option (did you mean "raft.heartbeat-timeout"?)`},
		{"underscores", "raft:\n  heartbeat_timeout: 1s\n", `did you mean "raft.heartbeat-timeout"?`},
		{"typo in the group's name", "rafft:\n  leader-lease: 1s\n", `node.yaml:1: rafft: no such option (did you mean "raft"?)`},
		{"group forgotten", "certificate: x.pem\n", `did you mean "tls.certificate"?`},
		{"nothing near", "colour: red\n", `colour: no such option; there are: node, cluster, listen`},
		{"twice", "node: a\nnode: b\n", "node"},
		{"duration without unit", "raft:\n  leader-lease: 750\n", `node.yaml:2: raft.leader-lease: "750" has no unit: write 750ms or 750s`},
		{"no duration", "raft:\n  leader-lease: soon\n", `"soon" is no duration: write it like 750ms, 10s or 1h30m`},
		{"no size", "disk:\n  min-free: 1 parsec\n", `"1 parsec" is no size`},
		{"no level", "log:\n  level: wran\n", `"wran" is none of debug, info, warn, error (did you mean "warn"?)`},
		{"no bool", "admin:\n  pprof: maybe\n", `neither true nor false`},
		{"list for a value", "node: [a, b]\n", "node: wants one value"},
		{"value for a group", "raft: fast\n", "raft: options are written as `name: value`"},
		{"no value", "node:\n", "node: has no value"},
		{"list at the top", "- a\n", "options are written as"},
		{"not YAML", "node: [\n", "is not YAML"},
		{"two documents", "node: a\n---\nnode: b\n", "more than one document"},
		{"member without address", "members:\n  n1:\n    host: x\n", "members are written as"},
		{"members as a list", "members: [n1]\n", "members: wants one value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.file)
			require.ErrorIs(t, err, ErrSettings)
			assert.Contains(t, err.Error(), c.want)
		})
	}
}

func TestShowsAllProblemsAtOnce(t *testing.T) {
	_, err := load(t, "nod: a\nlisen: b\n")
	require.Error(t, err)
	assert.Contains(t, err.Error(), `"node"`)
	assert.Contains(t, err.Error(), `"listen"`)
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"no node", "node: n1\n", "", "node: is missing"},
		{"node with capitals", "node: n1", "node: N1", `:1: node: "N1" is no id`},
		{"no data", "data: data\n", "", "data: is missing"},
		{"no port", "listen: 127.0.0.1:7411", "listen: 127.0.0.1", `:3: listen: "127.0.0.1" is no address: write host:port`},
		{"everywhere without advertise", "listen: 127.0.0.1:7411", "listen: 0.0.0.0:7411", "say under which address others reach this node"},
		{"not a member", "  n1: 127.0.0.1:7411\n", "", "this node, n1, is not among them"},
		{"other address", "  n1: 127.0.0.1:7411", "  n1: 127.0.0.1:7419", "it is reached at 127.0.0.1:7411"},
		{"one address twice", "127.0.0.1:7412", "127.0.0.1:7411", "n1 and n2 have the same address"},
		{"lease beyond heartbeat", "heartbeat-timeout: 1s", "leader-lease: 1m", "raft.leader-lease: 1m0s is longer than raft.heartbeat-timeout, 750ms"},
		{"election below heartbeat", "election-timeout: 2s", "election-timeout: 100ms", "raft.election-timeout: 100ms is shorter"},
		{"zero timeout", "heartbeat-timeout: 1s", "heartbeat-timeout: 0s", "is not within 50ms to 1m0s"},
		{"negative timeout", "heartbeat-timeout: 1s", "heartbeat-timeout: -1s", "is not within 50ms to 1m0s"},
		{"absurd timeout", "heartbeat-timeout: 1s", "heartbeat-timeout: 9999h", "is not within 50ms to 1m0s"},
		{"no key", "  key: /etc/lockstep/node-key.pem\n", "", "tls.key: is missing"},
		{"admin not on loopback", "log:", "admin:\n  listen: 0.0.0.0:80\nlog:", "the admin HTTP has no authentication"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, whole, c.from)
			l, err := load(t, strings.Replace(whole, c.from, c.to, 1))
			require.NoError(t, err)
			err = l.Validate()
			require.ErrorIs(t, err, ErrSettings)
			assert.Contains(t, err.Error(), c.want)
		})
	}
}

func TestFlagsGoOverTheFile(t *testing.T) {
	l, err := load(t, whole)
	require.NoError(t, err)
	require.NoError(t, l.SetFlag("raft-heartbeat-timeout", "2s"))
	require.NoError(t, l.SetFlag("members", "n1=127.0.0.1:7411"))
	require.NoError(t, l.Validate())
	assert.Equal(t, 2*time.Second, l.Raft.HeartbeatTimeout)
	assert.Len(t, l.Members, 1)
	assert.Equal(t, "--raft-heartbeat-timeout", l.Origin("raft.heartbeat-timeout"))
	assert.Equal(t, l.File+":2", l.Origin("cluster"))
	assert.Equal(t, "default", l.Origin("raft.leader-lease"))

	err = l.SetFlag("raft-leader-lease", "1")
	require.ErrorIs(t, err, ErrSettings)
	assert.Contains(t, err.Error(), "--raft-leader-lease")
}

// What Explain prints of each option can be read back.
func TestPrintingAndParsingAreInverses(t *testing.T) {
	l, err := load(t, whole)
	require.NoError(t, err)
	for _, o := range options {
		printed := o.value(&l.Settings).String()
		if printed == "" {
			continue
		}
		again := New()
		require.NoError(t, o.value(&again.Settings).Set(printed), o.key)
		assert.Equal(t, printed, o.value(&again.Settings).String(), o.key)
		assert.Contains(t, l.Explain(), o.key+":")
	}
}

func TestEmptyFileSetsNothing(t *testing.T) {
	l, err := load(t, "# nothing yet\n")
	require.NoError(t, err)
	assert.Equal(t, Default(), l.Settings)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("raft: &a\n  leader-lease: *a\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		l := New()
		if l.read(data) == nil {
			_ = l.Validate()
			_ = l.Explain()
		}
	})
}

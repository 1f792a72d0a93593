package nodes_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/nodestest"
)

// inCluster runs f with a cluster, in virtual time.
func inCluster(t *testing.T, cfg nodestest.Config, f func(t *testing.T, c *nodestest.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := nodestest.Start(t, cfg)
		defer c.Stop()
		f(t, c)
	})
}

var secret = []byte("a secret of thirty-two bytes, ok")

func open() *lockstepv1.ClientFrame {
	return &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_OpenSession{OpenSession: &lockstepv1.OpenSession{
		Secret: secret, TtlNs: int64(10 * time.Second), GraceNs: int64(4 * time.Second), Label: "test",
	}}}
}

func header(session, sequence uint64) *lockstepv1.RequestHeader {
	return &lockstepv1.RequestHeader{Session: session, Incarnation: 1, Sequence: sequence}
}

func acquire(session, sequence uint64, path string, wait time.Duration) *lockstepv1.ClientFrame {
	return &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_Acquire{Acquire: &lockstepv1.Acquire{
		Header: header(session, sequence), Owner: 1, Path: path, Mode: lockstepv1.Mode_MODE_EXCLUSIVE, WaitNs: int64(wait),
	}}}
}

func TestClusterElectsAndServesEveryNodesClients(t *testing.T) {
	inCluster(t, nodestest.Config{}, func(t *testing.T, c *nodestest.Cluster) {
		leader := c.Leader()
		for i, name := range c.Names() {
			network, _ := c.Client("someone")
			caller := nodestest.NewCaller(t, c.Connect(network, name))
			frame := open()
			frame.GetOpenSession().Secret = append([]byte(name), secret...)
			c.Await(name+" knows the leader", func() bool { return c.Node(name).Ready() == nil })
			opened := caller.Must(frame).GetSessionOpened()
			require.NotNil(t, opened, "at %s, leader %s", name, leader)
			granted := caller.Must(acquire(opened.GetSession(), 1, "/a/"+name, 0)).GetGranted()
			require.NotNil(t, granted)
			assert.EqualValues(t, i+1, granted.GetGrant().GetToken())
		}
	})
}

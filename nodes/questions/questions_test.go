package questions_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/peers"
	"lockstep/nodes/questions"
	"lockstep/transport"
	"lockstep/transport/clocks/system"
	"lockstep/transport/simnet"
)

// node answers questions and asks them.
type node struct {
	peers *peers.Manager
	asker *questions.Asker
	term  uint64
	ready bool
	index uint64
}

func (n *node) Term() (uint64, bool) { return n.term, n.ready }

func (n *node) ReadIndex(done func(uint64, *lockstepv1.Problem)) {
	if n.index == 0 {
		done(0, &lockstepv1.Problem{Code: lockstepv1.Code_CODE_NO_LEADER})
		return
	}
	done(n.index, nil)
}

// pair runs f with two nodes that are connected, in virtual time.
func pair(t *testing.T, f func(t *testing.T, net *simnet.Net, a, b *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(system.Clocks(), simnet.DefaultConfig())
		ctx, cancel := context.WithCancel(context.Background())
		start := func(name string) *node {
			host := net.Host(name, simnet.AsNode(name))
			cfg := peers.DefaultConfig()
			cfg.Node, cfg.Cluster, cfg.Lineage = name, "c", 1
			n := &node{term: 7, ready: true, index: 42}
			var err error
			n.peers, err = peers.New(cfg, peers.Deps{
				Network: host, Clocks: system.Clocks(), Rand: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler),
				Welcome: func() *lockstepv1.Welcome { return &lockstepv1.Welcome{} },
			})
			require.NoError(t, err)
			n.asker = questions.New(ctx, n.peers, n, slog.New(slog.DiscardHandler))
			l, err := host.Listen(name + ":1")
			require.NoError(t, err)
			go n.peers.Serve(ctx, l)
			return n
		}
		a, b := start("a"), start("b")
		members := map[string]string{"a": "a:1", "b": "b:1"}
		a.peers.SetMembers(members)
		b.peers.SetMembers(members)
		require.NoError(t, a.peers.Await(ctx, "b"))
		f(t, net, a, b)
		cancel()
		a.peers.Close()
		b.peers.Close()
	})
}

func confirmation(nonce uint64) *lockstepv1.PeerRequest {
	return &lockstepv1.PeerRequest{Body: &lockstepv1.PeerRequest_Confirm{Confirm: &lockstepv1.ConfirmRequest{Term: 7, Nonce: nonce}}}
}

// ask asks b and returns where the one reply arrives.
func ask(a *node, to string, q *lockstepv1.PeerRequest) <-chan *lockstepv1.PeerReply {
	replies := make(chan *lockstepv1.PeerReply, 2)
	a.asker.Ask(to, q, func(r *lockstepv1.PeerReply) { replies <- r })
	return replies
}

func TestEachQuestionGetsItsOwnAnswer(t *testing.T) {
	pair(t, func(t *testing.T, _ *simnet.Net, a, b *node) {
		b.term = 9
		var open []<-chan *lockstepv1.PeerReply
		for nonce := range uint64(20) {
			open = append(open, ask(a, "b", confirmation(nonce)))
		}
		for nonce, replies := range open {
			answer := (<-replies).GetConfirm()
			assert.EqualValues(t, nonce, answer.GetNonce())
			assert.EqualValues(t, 9, answer.GetTerm(), "the answering node's own")
		}
		index := ask(a, "b", &lockstepv1.PeerRequest{Body: &lockstepv1.PeerRequest_ReadIndex{ReadIndex: &lockstepv1.ReadIndexRequest{}}})
		assert.EqualValues(t, 42, (<-index).GetReadIndex().GetIndex())
		b.index = 0
		index = ask(a, "b", &lockstepv1.PeerRequest{Body: &lockstepv1.PeerRequest_ReadIndex{ReadIndex: &lockstepv1.ReadIndexRequest{}}})
		assert.Equal(t, lockstepv1.Code_CODE_NO_LEADER, (<-index).GetProblem().GetCode())
	})
}

func TestNodeThatHasNotLoadedItsStateDoesNotAnswer(t *testing.T) {
	pair(t, func(t *testing.T, _ *simnet.Net, a, b *node) {
		b.ready = false
		silent := ask(a, "b", confirmation(1))
		synctest.Wait()
		assert.Empty(t, silent)
		b.ready = true
		assert.EqualValues(t, 2, (<-ask(a, "b", confirmation(2))).GetConfirm().GetNonce())
		assert.Empty(t, silent, "once is once: it does not answer later either")
	})
}

func TestBrokenLineIsToldAndMadeAnew(t *testing.T) {
	pair(t, func(t *testing.T, net *simnet.Net, a, b *node) {
		b.ready = false
		open := ask(a, "b", confirmation(1))
		synctest.Wait()
		net.CutConnections("a", "b")
		assert.Nil(t, <-open)
		b.ready = true
		require.Eventually(t, func() bool { return (<-ask(a, "b", confirmation(2))).GetConfirm().GetNonce() == 2 },
			time.Minute, 10*time.Millisecond)
		assert.Nil(t, <-ask(a, "nobody", confirmation(3)), "unknown nodes cannot be asked")
		synctest.Wait()
		assert.Empty(t, open, "told once")
	})
}

func TestQuestionThatNobodyKnowsEndsTheStream(t *testing.T) {
	pair(t, func(t *testing.T, _ *simnet.Net, a, _ *node) {
		assert.Nil(t, <-ask(a, "b", &lockstepv1.PeerRequest{}))
		out, err := a.peers.Open(t.Context(), "b", lockstepv1.Hello_KIND_PEER, transport.PurposeHeartbeat, nil)
		require.NoError(t, err)
		_, err = out.Stream.Write(transport.AppendFrame(nil, []byte{0xff, 0xff}))
		require.NoError(t, err)
		_, err = out.Read()
		require.Error(t, err)
	})
}

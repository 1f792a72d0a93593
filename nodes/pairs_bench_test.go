package nodes_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/nodestest"
)

// BenchmarkPairs measures acquire-release pairs through three whole nodes, over a
// network and on stores that cost nothing: what the nodes' own code takes.
func BenchmarkPairs(b *testing.B) {
	for _, sessions := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) { benchmarkPairs(b, sessions) })
	}
}

func benchmarkPairs(b *testing.B, sessions int) {
	c := nodestest.Start(b, nodestest.Config{})
	leader := c.Leader()
	network, _ := c.Client("bench")
	callers := make([]*nodestest.Caller, min(4, sessions))
	for i := range callers {
		callers[i] = nodestest.NewCaller(b, c.Connect(network, leader))
	}
	type worker struct {
		caller  *nodestest.Caller
		session uint64
	}
	workers := make([]worker, sessions)
	for i := range workers {
		caller := callers[i%len(callers)]
		opened := caller.Must(openSession(fmt.Appendf(nil, "the secret of worker %d", i))).GetSessionOpened()
		workers[i] = worker{caller, opened.GetSession()}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	for i, w := range workers {
		group.Go(func() {
			path := fmt.Sprintf("/bench/%d", i)
			for sequence := uint64(1); left.Add(-1) >= 0; sequence += 2 {
				f := w.caller.Must(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_Acquire{Acquire: &lockstepv1.Acquire{
					Header: &lockstepv1.RequestHeader{Session: w.session, Incarnation: 1, Sequence: sequence, AcknowledgedThrough: sequence - 1},
					Owner:  1, Path: path, Mode: lockstepv1.Mode_MODE_EXCLUSIVE,
				}}})
				w.caller.Must(&lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_Release{Release: &lockstepv1.Release{
					Header: &lockstepv1.RequestHeader{Session: w.session, Incarnation: 1, Sequence: sequence + 1, AcknowledgedThrough: sequence},
					Owner:  1, Path: path, Token: f.GetGranted().GetGrant().GetToken(),
				}}})
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
}

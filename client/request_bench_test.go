package client

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport"
)

// BenchmarkAcquireRelease measures the client's share of a pair: the node answers
// with bytes that were encoded beforehand, over a connection that costs nothing.
func BenchmarkAcquireRelease(b *testing.B) {
	for _, sessions := range []int{1, 64} {
		b.Run(map[int]string{1: "1 session", 64: "64 sessions"}[sessions], func(b *testing.B) {
			c, err := Open(b.Context(), DefaultConfig("bench"), Deps{
				Network: echoNetwork{}, Clocks: realClocks(), Rand: rand.New(rand.NewPCG(1, 2)),
			})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			var locks []*Lock
			for range sessions {
				s, err := c.NewSession(b.Context(), TTL(24*time.Hour))
				if err != nil {
					b.Fatal(err)
				}
				locks = append(locks, s.Lock("/orders/eu/42"))
			}
			ctx := context.Background()
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, lock := range locks {
				wg.Go(func() {
					for range (b.N + i) / sessions {
						g, err := lock.Acquire(ctx)
						if err != nil {
							b.Error(err)
							return
						}
						if err := g.Release(ctx); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// echoNetwork has one node that grants everything at once.
type echoNetwork struct{ transport.Network }

func (echoNetwork) Dial(context.Context, string) (transport.Conn, error) {
	ctx, cancel := context.WithCancel(context.Background())
	return &echoConn{ctx: ctx, cancel: cancel}, nil
}

type echoConn struct {
	transport.Conn
	ctx    context.Context
	cancel context.CancelFunc
}

func (c *echoConn) Close(string) error { c.cancel(); return nil }

func (c *echoConn) OpenStream(_ context.Context, purpose transport.Purpose) (transport.Stream, error) {
	in, out := io.Pipe()
	s := &echoStream{conn: c, purpose: purpose, in: in, out: transport.NewFrameWriter(out, 1<<24)}
	context.AfterFunc(c.ctx, func() { in.CloseWithError(transport.ErrClosed) })
	return s, nil
}

type echoStream struct {
	transport.Stream
	conn    *echoConn
	purpose transport.Purpose
	in      *io.PipeReader
	out     *transport.FrameWriter
	greeted bool
	request lockstepv1.ClientFrame
	index   uint64
}

func (s *echoStream) Read(p []byte) (int, error) { return s.in.Read(p) }
func (s *echoStream) Reset()                     { s.in.CloseWithError(transport.ErrReset) }

// Write takes whole frames, as the frame writer hands them over.
func (s *echoStream) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := int(rest[0])<<24 | int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
		frame := rest[4 : 4+n]
		rest = rest[4+n:]
		if !s.greeted {
			s.greeted = true
			_ = s.out.TryEnqueueMessage(&lockstepv1.Welcome{Version: 1, Cluster: "bench", Lineage: 1, Node: "n1"})
			continue
		}
		if s.purpose == transport.PurposeOps {
			must(proto.Unmarshal(frame, &s.request))
			_ = s.out.TryEnqueueMessage(s.answer())
		}
	}
	return len(p), nil
}

func (s *echoStream) answer() *lockstepv1.NodeFrame {
	s.index++
	f := &lockstepv1.NodeFrame{Id: s.request.GetId()}
	at := &lockstepv1.Position{Index: s.index, N: 1}
	switch r := s.request.GetBody().(type) {
	case *lockstepv1.ClientFrame_OpenSession:
		f.Body = &lockstepv1.NodeFrame_SessionOpened{SessionOpened: &lockstepv1.SessionOpened{
			Session: s.index, Incarnation: 1, TtlNs: r.OpenSession.GetTtlNs(), GraceNs: r.OpenSession.GetGraceNs(), Position: at,
		}}
	case *lockstepv1.ClientFrame_Acquire:
		f.Body = &lockstepv1.NodeFrame_Granted{Granted: &lockstepv1.Granted{Position: at, Grant: &lockstepv1.Grant{
			Path: r.Acquire.GetPath(), Session: r.Acquire.GetHeader().GetSession(), Owner: r.Acquire.GetOwner(),
			Mode: r.Acquire.GetMode(), Token: s.index, Floor: s.index - 1, Count: 1, Since: at,
		}}}
	case *lockstepv1.ClientFrame_Release:
		f.Body = &lockstepv1.NodeFrame_Released{Released: &lockstepv1.Released{Position: at}}
	}
	return f
}

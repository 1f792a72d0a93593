package questions

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/peers"
	"lockstep/transport"
)

const (
	// queueBytes bounds what waits to be written to one node.
	queueBytes = 256 << 10
	// openTimeout bounds the opening of a stream to another node.
	openTimeout = time.Second
)

// ErrNoAnswer is what a question gets whose node cannot be reached or did not
// answer.
var ErrNoAnswer = errors.New("questions: no answer")

// Peers opens and accepts streams between nodes; *peers.Manager is one.
type Peers interface {
	Open(ctx context.Context, node string, kind lockstepv1.Hello_Kind, purpose transport.Purpose, hello *lockstepv1.Hello) (*peers.Outbound, error)
	Handle(kind lockstepv1.Hello_Kind, purpose transport.Purpose, h peers.Handler)
}

// Answers is who answers the questions of other nodes.
type Answers interface {
	// Term is this node's current, durable term; false: Raft has not loaded its
	// state yet, or has stopped.
	Term() (uint64, bool)
	// ReadIndex calls done with the commit index after a confirmation round, or
	// with the reason why there is none.
	ReadIndex(done func(index uint64, problem *lockstepv1.Problem))
}

// Asker keeps one stream of questions to each node. All methods may be called
// from any goroutine.
type Asker struct {
	peers   Peers
	answers Answers
	logger  *slog.Logger
	ctx     context.Context

	mu    sync.Mutex
	lines map[string]*line
	next  uint64
}

// New registers the answers with peers; ctx ends everything.
func New(ctx context.Context, p Peers, answers Answers, logger *slog.Logger) *Asker {
	a := &Asker{peers: p, answers: answers, logger: logger, ctx: ctx, lines: map[string]*line{}}
	p.Handle(lockstepv1.Hello_KIND_PEER, transport.PurposeHeartbeat, a.serve)
	return a
}

// Reply is an answer, or nil if there is none.
type Reply func(*lockstepv1.PeerReply)

// Ask sends a question and calls reply once, with nil when the stream breaks.
func (a *Asker) Ask(node string, q *lockstepv1.PeerRequest, reply Reply) {
	a.mu.Lock()
	a.next++
	q.Id = a.next
	l := a.lines[node]
	if l == nil {
		l = &line{asker: a, node: node, open: map[uint64]Reply{}}
		a.lines[node] = l
		go l.run()
	}
	l.enqueue(q, reply)
	a.mu.Unlock()
}

func (a *Asker) drop(l *line) {
	a.mu.Lock()
	if a.lines[l.node] == l {
		delete(a.lines, l.node)
	}
	a.mu.Unlock()
}

// line is a stream of questions to one node, from its opening to its end; the
// next question after that begins another one.
type line struct {
	asker *Asker
	node  string

	mu     sync.Mutex
	early  []*lockstepv1.PeerRequest // asked before the stream was open
	writer *transport.FrameWriter
	open   map[uint64]Reply
	ended  bool
}

func (l *line) enqueue(q *lockstepv1.PeerRequest, reply Reply) {
	l.mu.Lock()
	ended := l.ended
	if !ended {
		l.open[q.GetId()] = reply
		switch {
		case l.writer == nil:
			l.early = append(l.early, q)
		case l.writer.TryEnqueueMessage(q) != nil:
			delete(l.open, q.GetId())
			ended = true
		}
	}
	l.mu.Unlock()
	if ended {
		go reply(nil) // the caller may hold locks
	}
}

func (l *line) run() {
	err := l.converse()
	l.asker.drop(l)
	l.mu.Lock()
	l.ended = true
	open := l.open
	l.open = nil
	l.mu.Unlock()
	if err != nil && !errors.Is(err, io.EOF) && l.asker.ctx.Err() == nil {
		l.asker.logger.Debug("questions broke off", "to", l.node, "reason", err)
	}
	for _, reply := range open {
		reply(nil)
	}
}

func (l *line) converse() error {
	ctx, cancel := context.WithTimeout(l.asker.ctx, openTimeout)
	defer cancel()
	out, err := l.asker.peers.Open(ctx, l.node, lockstepv1.Hello_KIND_PEER, transport.PurposeHeartbeat, nil)
	if err != nil {
		return err
	}
	defer out.Stream.Reset()
	writer := transport.NewFrameWriter(out.Stream, queueBytes)
	defer writer.Fail(ErrNoAnswer)
	l.mu.Lock()
	l.writer = writer
	for _, q := range l.early {
		if err := writer.TryEnqueueMessage(q); err != nil {
			l.mu.Unlock()
			return err
		}
	}
	l.early = nil
	l.mu.Unlock()
	for {
		frame, err := out.Read()
		if err != nil {
			return err
		}
		reply := &lockstepv1.PeerReply{}
		if err := transport.DecodeMessage(frame, reply); err != nil {
			return err
		}
		l.mu.Lock()
		done := l.open[reply.GetId()]
		delete(l.open, reply.GetId())
		l.mu.Unlock()
		if done != nil {
			done(reply)
		}
	}
}

// serve answers the questions of another node.
func (a *Asker) serve(_ context.Context, in *peers.Inbound) {
	defer in.Stream.Reset()
	writer := transport.NewFrameWriter(in.Stream, queueBytes)
	defer writer.Fail(ErrNoAnswer)
	for {
		q := &lockstepv1.PeerRequest{}
		if err := transport.ReadMessage(in.Frames, q); err != nil {
			return
		}
		if !a.answer(writer, q) {
			return
		}
	}
}

// answer answers one question; false: the stream is of no more use.
func (a *Asker) answer(writer *transport.FrameWriter, q *lockstepv1.PeerRequest) bool {
	switch body := q.GetBody().(type) {
	case *lockstepv1.PeerRequest_Confirm:
		term, ready := a.answers.Term()
		if !ready {
			return true // no answer at all: Raft has not loaded what it promised
		}
		return writer.TryEnqueueMessage(&lockstepv1.PeerReply{Id: q.GetId(), Body: &lockstepv1.PeerReply_Confirm{
			Confirm: &lockstepv1.ConfirmReply{Term: term, Nonce: body.Confirm.GetNonce()},
		}}) == nil
	case *lockstepv1.PeerRequest_ReadIndex:
		a.answers.ReadIndex(func(index uint64, problem *lockstepv1.Problem) {
			reply := &lockstepv1.PeerReply{Id: q.GetId()}
			if problem != nil {
				reply.Body = &lockstepv1.PeerReply_Problem{Problem: problem}
			} else {
				reply.Body = &lockstepv1.PeerReply_ReadIndex{ReadIndex: &lockstepv1.ReadIndexReply{Index: index}}
			}
			_ = writer.TryEnqueueMessage(reply) // an asker that does not read asks again
		})
		return true
	default:
		return false
	}
}

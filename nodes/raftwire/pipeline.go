package raftwire

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"lockstep/nodes/peers"
	"lockstep/transport"
)

var (
	_ raft.AppendPipeline = (*pipeline)(nil)
	_ raft.AppendFuture   = (*appendFuture)(nil)
)

// AppendEntriesPipeline opens a stream on which appends do not wait for each
// other's answers.
func (t *Transport) AppendEntriesPipeline(id raft.ServerID, _ raft.ServerAddress) (raft.AppendPipeline, error) {
	ctx, cancel := t.within(t.cfg.CallTimeout)
	defer cancel()
	out, err := t.open(ctx, string(id), transport.PurposeRaft)
	if err != nil {
		return nil, err
	}
	p := &pipeline{
		t: t, out: out,
		flight: make(chan *appendFuture, pipelineDepth),
		ready:  make(chan raft.AppendFuture, pipelineDepth),
	}
	p.life, p.end = context.WithCancelCause(t.life)
	context.AfterFunc(p.life, out.Stream.Reset)
	go p.receive()
	return p, nil
}

// pipeline sends on Raft's goroutine and receives on its own. Its stream is reset
// at its end: what has not been answered is not to reach the other Raft any more.
type pipeline struct {
	t   *Transport
	out *peers.Outbound
	// flight holds what waits for an answer, in the order of sending.
	flight chan *appendFuture
	ready  chan raft.AppendFuture
	life   context.Context
	end    context.CancelCauseFunc
	frame  []byte
}

var errPipelineClosed = errors.New("raftwire: pipeline closed")

// AppendEntries sends a request. It blocks while pipelineDepth of them are
// unanswered.
func (p *pipeline) AppendEntries(request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	f := &appendFuture{start: p.t.clock.Now(), request: request, response: response, done: make(chan struct{})}
	select {
	case p.flight <- f:
	case <-p.life.Done():
		return nil, context.Cause(p.life)
	}
	p.frame = endFrame(encodeAppend(beginFrame(p.frame[:0]), request))
	if err := p.send(f.start); err != nil {
		p.end(err)
		return nil, err
	}
	return f, nil
}

func (p *pipeline) send(now time.Time) error {
	if len(p.frame)-transport.FrameHeader > transport.MaxFrame {
		return transport.ErrFrameTooLarge
	}
	if err := p.out.Stream.SetWriteDeadline(now.Add(p.t.cfg.AppendTimeout)); err != nil {
		return err
	}
	p.t.counts.sent.Add(1)
	_, err := p.out.Stream.Write(p.frame)
	return err
}

// receive resolves the futures in order, until the first error.
func (p *pipeline) receive() {
	for {
		select {
		case f := <-p.flight:
			err := p.await(f)
			f.resolve(err)
			select {
			case p.ready <- f:
			case <-p.life.Done():
				return
			}
			if err != nil {
				p.end(err)
				return
			}
		case <-p.life.Done():
			return
		}
	}
}

func (p *pipeline) await(f *appendFuture) error {
	if err := p.out.Stream.SetReadDeadline(f.start.Add(p.t.cfg.AppendTimeout)); err != nil {
		return err
	}
	frame, err := p.out.Read()
	if err != nil {
		return fmt.Errorf("raftwire: append to %s: %w", p.out.Node, err)
	}
	return decodeAppendReply(frame, f.response)
}

// Consumer is where Raft takes the answered requests from. After one that failed
// comes nothing more.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.ready }

// Close ends the pipeline and gives up what is on its way.
func (p *pipeline) Close() error {
	p.end(errPipelineClosed)
	return nil
}

// appendFuture is an append on its way.
type appendFuture struct {
	start    time.Time
	request  *raft.AppendEntriesRequest
	response *raft.AppendEntriesResponse
	done     chan struct{}
	once     sync.Once
	err      error
}

func (f *appendFuture) resolve(err error) {
	f.once.Do(func() {
		if err != nil {
			// Raft looks at the answer without asking for the error.
			*f.response = raft.AppendEntriesResponse{}
		}
		f.err = err
		close(f.done)
	})
}

// Error waits for the answer.
func (f *appendFuture) Error() error {
	<-f.done
	return f.err
}

// Start is when the request was sent.
func (f *appendFuture) Start() time.Time { return f.start }

// Request is what was sent.
func (f *appendFuture) Request() *raft.AppendEntriesRequest { return f.request }

// Response is the answer, after Error has returned nil.
func (f *appendFuture) Response() *raft.AppendEntriesResponse { return f.response }

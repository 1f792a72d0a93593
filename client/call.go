package client

import (
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/client/belief"
)

// asker is who wants a call's answer. The link calls it without holding a lock,
// from goroutines that must not wait.
type asker interface {
	// answered brings the answer, or the error that ends the call for good. It is
	// called at most once.
	answered(c *call, f *lockstepv1.NodeFrame, err error)
	// overdue says that the call has gone without an answer for its patience. If
	// it returns true the call is dropped, else it goes on until it is answered.
	overdue(c *call) (drop bool)
}

// call is one request on its way to its answer, through as many connections as
// it takes.
type call struct {
	frame lockstepv1.ClientFrame
	asker asker
	// session must be bound on the connection first; nil: none.
	session *Session
	// timed: the clocks are read before the first sending.
	timed bool
	// oneConn: the call makes sense on its connection only and dies with it.
	oneConn bool

	// Guarded by link.mu from submit on.

	link *link
	// conn the call is in flight on; nil: it waits to be sent.
	conn *conn
	// via is the connection that the answer came on.
	via *conn
	// first is when it was sent first, if timed.
	first belief.Reading
	sent  bool
	// uncertain: an earlier sending may have taken effect.
	uncertain bool
	// settled: answered, failed or dropped.
	settled   bool
	tries     int
	notBefore time.Time
	// deadline after which the asker is told; zero: never.
	deadline time.Time
	// problem is why it was not answered yet.
	problem error
}

// standing tells whether the request may have taken effect although no answer has
// arrived, and why there is none.
func (c *call) standing() (uncertain bool, why error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	why = c.problem
	if why == nil {
		why = c.link.why
	}
	return c.uncertain || c.conn != nil, why
}

// wireID is the request's name on the stream it is in flight on.
func (c *call) wireID() uint64 { return c.frame.GetId() }

// result is an answer that somebody waits for.
type result struct {
	frame *lockstepv1.NodeFrame
	err   error
}

// question is a call that one goroutine waits for and that may be dropped at any
// time: a read.
type question struct {
	call
	op   string
	path string
	done chan result
}

func newQuestion(op, path string) *question {
	q := &question{op: op, path: path, done: make(chan result, 1)}
	q.asker = q
	return q
}

func (q *question) answered(_ *call, f *lockstepv1.NodeFrame, err error) {
	select {
	case q.done <- result{frame: f, err: err}:
	default: // overdue at the same moment
	}
}

func (q *question) overdue(c *call) bool {
	_, why := c.standing()
	select {
	case q.done <- result{err: unavailable(why)}:
	default: // answered at the same moment
	}
	return true
}

// firstSending is when the question was sent first; only if timed.
func (q *question) firstSending() belief.Reading {
	q.link.mu.Lock()
	defer q.link.mu.Unlock()
	return q.first
}

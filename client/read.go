package client

import (
	"context"
	"errors"
	"iter"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// ask waits for the answer to a question.
func (l *link) ask(ctx context.Context, q *question) (*lockstepv1.NodeFrame, error) {
	if ctx.Err() != nil {
		return nil, &Error{Op: q.op, Path: q.path, Err: ErrUnavailable, Detail: "the context had ended before anything was asked", Cause: context.Cause(ctx)}
	}
	l.submit(&q.call)
	var r result
	select {
	case r = <-q.done:
	case <-ctx.Done():
		_, why := q.standing()
		l.discard(&q.call)
		e := unavailable(why)
		e.Cause = errors.Join(context.Cause(ctx), why)
		r.err = e
	}
	if r.err != nil {
		return nil, ofOperation(q.op, q.path, r.err)
	}
	if refusal := r.frame.GetRefusal(); refusal != nil {
		return nil, refused(q.op, q.path, refusal)
	}
	return r.frame, nil
}

// Validate asks the service whether the grant stands: a linearizable read. nil: it
// stood at some moment between the call and the return, so whatever was done
// before the call was covered. ErrNotHeld: it does not stand.
func (g *Grant) Validate(ctx context.Context) error {
	s := g.session
	s.mu.Lock()
	cause, released := s.cause, g.release != nil
	s.mu.Unlock()
	switch {
	case cause != nil:
		return ofSession("validate", g.Path(), cause)
	case released:
		return &Error{Op: "validate", Path: g.Path(), Err: ErrNotHeld, Cause: ErrReleased}
	}
	q := newQuestion("validate", g.Path())
	q.session = s
	q.frame.Body = &lockstepv1.ClientFrame_Validate{Validate: &lockstepv1.Validate{
		Session: uint64(s.id), Owner: uint64(g.Owner()), Path: g.Path(), Token: uint64(g.Token()),
	}}
	f, err := s.link.ask(ctx, q)
	if err != nil {
		return err
	}
	answer := f.GetValidated()
	switch {
	case answer == nil:
		return unexpected("validate", g.Path(), f)
	case !answer.GetHeld():
		return &Error{Op: "validate", Path: g.Path(), Err: ErrNotHeld}
	}
	return nil
}

// consistency is what the options ask for, as a message.
func (o readOptions) consistency() *lockstepv1.Consistency {
	if o.stale == nil {
		return nil
	}
	bound := int64(*o.stale)
	return &lockstepv1.Consistency{StaleNs: &bound}
}

func (o readOptions) note(info *lockstepv1.ReadInfo) {
	if o.info != nil {
		*o.info = readInfo(info)
	}
}

func readOptionsOf(opts []ReadOption) readOptions {
	options := readOptions{page: DefaultPageSize}
	for _, o := range opts {
		o(&options)
	}
	return options
}

// read asks one page.
func (c *Client) read(ctx context.Context, op, path string, frame *lockstepv1.ClientFrame) (*lockstepv1.NodeFrame, error) {
	if len(path) > MaxText {
		return nil, &Error{Op: op, Err: ErrInvalid, Detail: "the prefix is too long"}
	}
	q := newQuestion(op, path)
	q.frame.Body = frame.GetBody()
	return c.links[0].ask(ctx, q)
}

// ListLocks yields the locks at and below prefix in order of path; "/" is all.
// Each page is linearizable, the listing as a whole is not. It ends after the
// first error: ErrUnavailable, ErrTooStale, ErrInvalid.
func (c *Client) ListLocks(ctx context.Context, prefix string, opts ...ReadOption) iter.Seq2[LockInfo, error] {
	options := readOptionsOf(opts)
	return func(yield func(LockInfo, error) bool) {
		for after := ""; ; {
			f, err := c.read(ctx, "list locks", prefix, &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_ListLocks{ListLocks: &lockstepv1.ListLocks{
				Prefix: prefix, Consistency: options.consistency(), Limit: options.page, After: after,
			}}})
			page := f.GetLockList()
			if err == nil && page == nil {
				err = unexpected("list locks", prefix, f)
			}
			if err != nil {
				yield(LockInfo{}, err)
				return
			}
			options.note(page.GetInfo())
			for _, l := range page.GetLocks() {
				if after = l.GetPath(); !yield(lockInfo(l), nil) {
					return
				}
			}
			if !page.GetMore() || len(page.GetLocks()) == 0 {
				return
			}
		}
	}
}

// ListSessions yields the sessions in order of id; otherwise as ListLocks.
func (c *Client) ListSessions(ctx context.Context, opts ...ReadOption) iter.Seq2[SessionInfo, error] {
	options := readOptionsOf(opts)
	return func(yield func(SessionInfo, error) bool) {
		for after := uint64(0); ; {
			f, err := c.read(ctx, "list sessions", "", &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_ListSessions{ListSessions: &lockstepv1.ListSessions{
				Consistency: options.consistency(), Limit: options.page, After: after,
			}}})
			page := f.GetSessionList()
			if err == nil && page == nil {
				err = unexpected("list sessions", "", f)
			}
			if err != nil {
				yield(SessionInfo{}, err)
				return
			}
			options.note(page.GetInfo())
			for _, s := range page.GetSessions() {
				if after = s.GetSession(); !yield(sessionInfo(s), nil) {
					return
				}
			}
			if !page.GetMore() || len(page.GetSessions()) == 0 {
				return
			}
		}
	}
}

// ListWaiters yields the waiters at and below prefix in order of path and waiter;
// otherwise as ListLocks.
func (c *Client) ListWaiters(ctx context.Context, prefix string, opts ...ReadOption) iter.Seq2[WaiterInfo, error] {
	options := readOptionsOf(opts)
	return func(yield func(WaiterInfo, error) bool) {
		afterPath, afterWaiter := "", uint64(0)
		for {
			f, err := c.read(ctx, "list waiters", prefix, &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_ListWaiters{ListWaiters: &lockstepv1.ListWaiters{
				Prefix: prefix, Consistency: options.consistency(), Limit: options.page,
				AfterPath: afterPath, AfterWaiter: afterWaiter,
			}}})
			page := f.GetWaiterList()
			if err == nil && page == nil {
				err = unexpected("list waiters", prefix, f)
			}
			if err != nil {
				yield(WaiterInfo{}, err)
				return
			}
			options.note(page.GetInfo())
			for _, w := range page.GetWaiters() {
				afterPath, afterWaiter = w.GetPath(), w.GetWaiter()
				if !yield(waiterInfo(w), nil) {
					return
				}
			}
			if !page.GetMore() || len(page.GetWaiters()) == 0 {
				return
			}
		}
	}
}

// Status asks the node at endpoint about itself, over a connection of its own;
// empty: the node that this client is connected to. A node answers whether or not
// there is a leader.
func (c *Client) Status(ctx context.Context, endpoint string) (Status, error) {
	frame := &lockstepv1.ClientFrame{Id: 1, Body: &lockstepv1.ClientFrame_GetStatus{GetStatus: &lockstepv1.GetStatus{}}}
	if endpoint == "" {
		f, err := c.read(ctx, "status", "", frame)
		if err != nil {
			return Status{}, err
		}
		return status(f.GetStatus()), nil
	}
	n, err := c.links[0].openConn(ctx, endpoint)
	if err != nil {
		return Status{}, ofOperation("status", "", err)
	}
	defer n.close(errors.New("asked and answered"))
	ctx, cancel := c.withTimeout(ctx, statusPatience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { n.close(context.Cause(ctx)) })
	defer stop()
	if err := n.ops.out.TryEnqueueMessage(frame); err != nil {
		return Status{}, ofOperation("status", "", err)
	}
	f, err := n.readOne()
	if err != nil {
		return Status{}, ofOperation("status", "", err)
	}
	if f.GetStatus() == nil {
		return Status{}, unexpected("status", "", f)
	}
	return status(f.GetStatus()), nil
}

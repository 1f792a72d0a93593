package transport

import (
	"context"
	"fmt"
	"io"
	"sync"

	"google.golang.org/protobuf/proto"
)

// FrameWriter gathers frames of many goroutines and writes them from one: what
// was enqueued while a Write was under way goes out in the next one. It decides
// nothing about order beyond this: frames leave in the order in which they were
// accepted, so those of one goroutine in its order.
//
// The first error of the writer is kept: every later call returns it. All
// methods may be called from any goroutine.
type FrameWriter struct {
	dst   io.Writer
	limit int
	// wake tells the writing goroutine that there is work; done ends with it.
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex
	pending []byte
	// err is why nothing is accepted any more; failed means that what is pending
	// is not to be written either.
	err    error
	failed bool
	// room is closed when pending bytes were taken; nil unless somebody waits.
	room chan struct{}
	// smallWrites counts writes in a row for which the buffer was far too large.
	smallWrites int
}

// NewFrameWriter starts a writer to dst which accepts a frame while fewer than
// limit bytes wait, so that it holds at most limit bytes and one frame beside
// what is being written. It must be ended by Close or Fail; a Write that is
// stuck ends only with dst.
func NewFrameWriter(dst io.Writer, limit int) *FrameWriter {
	if limit <= 0 {
		panic(fmt.Sprintf("transport: write queue limit %d is not positive", limit))
	}
	w := &FrameWriter{dst: dst, limit: limit, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// TryEnqueue accepts payload as a frame, or returns ErrFull at once. The payload
// may be reused afterwards.
func (w *FrameWriter) TryEnqueue(payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.admit(); err != nil {
		return err
	}
	return w.put(payload)
}

// TryEnqueueMessage accepts m as a frame, or returns ErrFull at once.
func (w *FrameWriter) TryEnqueueMessage(m proto.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.admit(); err != nil {
		return err
	}
	return w.putMessage(m)
}

// Enqueue accepts payload as a frame, waiting for room until ctx ends; then the
// error is the context's cause. The payload may be reused afterwards.
func (w *FrameWriter) Enqueue(ctx context.Context, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.await(ctx); err != nil {
		return err
	}
	return w.put(payload)
}

// EnqueueMessage accepts m as a frame, waiting for room until ctx ends; then the
// error is the context's cause.
func (w *FrameWriter) EnqueueMessage(ctx context.Context, m proto.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.await(ctx); err != nil {
		return err
	}
	return w.putMessage(m)
}

// Close accepts nothing more and returns when everything accepted was written,
// or with the first error of the writer. When ctx ends first, what is still
// pending is dropped and the context's cause returned. It does not close dst.
func (w *FrameWriter) Close(ctx context.Context) error {
	w.stop(ErrClosed, false /* failed */)
	select {
	case <-w.done:
	case <-ctx.Done():
		w.stop(context.Cause(ctx), true /* failed */)
		return context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed {
		return w.err
	}
	return nil
}

// Fail drops what is pending and makes every later call return err, unless there
// was an error before. It does not wait for a Write under way.
func (w *FrameWriter) Fail(err error) { w.stop(err, true /* failed */) }

// Done is closed when nothing is written any more: after Close, Fail or an error.
func (w *FrameWriter) Done() <-chan struct{} { return w.done }

// Err is nil while frames are accepted, then why they are not.
func (w *FrameWriter) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Pending is how many bytes wait to be written, beside those of a Write under way.
func (w *FrameWriter) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending)
}

func (w *FrameWriter) admit() error {
	if w.err != nil {
		return w.err
	}
	if len(w.pending) >= w.limit {
		return ErrFull
	}
	return nil
}

// await returns with the lock held, as it was called, once a frame is admitted.
func (w *FrameWriter) await(ctx context.Context) error {
	for {
		if w.err != nil {
			return w.err
		}
		if len(w.pending) < w.limit {
			return nil
		}
		if w.room == nil {
			w.room = make(chan struct{})
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			w.mu.Lock()
			return context.Cause(ctx)
		}
		w.mu.Lock()
	}
}

func (w *FrameWriter) put(payload []byte) error {
	if len(payload) > MaxFrame {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrFrameTooLarge, len(payload), MaxFrame)
	}
	w.pending = AppendFrame(w.pending, payload)
	w.signal()
	return nil
}

func (w *FrameWriter) putMessage(m proto.Message) error {
	pending, err := AppendMessage(w.pending, m)
	if err != nil {
		return err
	}
	w.pending = pending
	w.signal()
	return nil
}

func (w *FrameWriter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *FrameWriter) stop(err error, failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	if failed && !w.failed {
		w.failed = true
		w.pending = nil
		if w.err == ErrClosed { //nolint:errorlint // the sentinel itself: Close came first, and did not get to its end
			w.err = err
		}
	}
	w.release()
	w.signal()
}

func (w *FrameWriter) release() {
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}

// run swaps two buffers: one gathers while the other is written.
func (w *FrameWriter) run() {
	defer close(w.done)
	var writing []byte
	for range w.wake {
		for {
			var last bool
			writing, last = w.take(writing)
			if len(writing) > 0 {
				if _, err := w.dst.Write(writing); err != nil {
					w.stop(err, true /* failed */)
					return
				}
			}
			if last {
				return
			}
			if len(writing) == 0 {
				break
			}
		}
	}
}

// take hands the pending bytes over for the buffer written last; last tells that
// nothing will come after them.
func (w *FrameWriter) take(written []byte) (taken []byte, last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case cap(written) <= keptBuffer || len(written) > keptBuffer:
		w.smallWrites = 0
	case w.smallWrites < smallWritesBeforeShrink:
		w.smallWrites++
	default:
		written = nil
	}
	taken, w.pending = w.pending, written[:0]
	w.release()
	return taken, w.err != nil
}

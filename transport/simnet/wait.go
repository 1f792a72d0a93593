package simnet

import "time"

// noDeadline is the deadline of calls that wait for ever.
var noDeadline time.Time

// signal wakes everybody who waits for a change; guarded by Net.mu.
type signal struct{ ch chan struct{} }

func (s *signal) fire() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// wait gives mu up until s fires, done is closed or the deadline has passed. The
// caller looks at the state again, whatever ended the wait.
func (n *Net) wait(s *signal, done <-chan struct{}, deadline time.Time) {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	changed := s.ch
	var passed <-chan time.Time
	if !deadline.IsZero() {
		timer := n.clocks.Mono.NewTimer(deadline.Sub(n.clocks.Mono.Now()))
		defer timer.Stop()
		passed = timer.Chan()
	}
	n.mu.Unlock()
	defer n.mu.Lock()
	select {
	case <-changed:
	case <-done:
	case <-passed:
	}
}

// passed tells whether a deadline is over.
func (n *Net) passed(deadline time.Time) bool {
	return !deadline.IsZero() && !n.clocks.Mono.Now().Before(deadline)
}

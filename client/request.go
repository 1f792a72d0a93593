package client

import (
	"errors"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// request is a call that changes something: it has a sequence, so that it takes
// effect once however often it is sent.
type request struct {
	call
	header   lockstepv1.RequestHeader
	seen     lockstepv1.Position
	sequence uint64
}

func asError(err error, target **Error) bool { return errors.As(err, target) }

// issueLocked gives the request its sequence and submits it; while the window is
// full it waits for its turn.
func (s *Session) issueLocked(r *request) {
	r.session = s
	sequence, ok := s.takeLocked()
	if !ok {
		if patience := s.client.cfg.RequestTimeout; patience > 0 {
			r.deadline = s.client.mono().Now().Add(patience)
		}
		r.link = s.link
		s.backlog = append(s.backlog, r)
		return
	}
	r.sequence = sequence
	r.seen.Index, r.seen.N = s.seen.Index, s.seen.N
	r.header.Session, r.header.Incarnation = uint64(s.id), s.incarnation
	r.header.Sequence, r.header.AcknowledgedThrough = sequence, s.window.acked
	r.header.SeenThrough = &r.seen
	if a, ok := r.asker.(*acquire); ok {
		s.acquires[sequence] = a
	}
	s.link.submit(&r.call)
}

// takeLocked returns a sequence for a request, if there is room.
func (s *Session) takeLocked() (uint64, bool) {
	if n := len(s.spare); n > 0 {
		sequence := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return sequence, true
	}
	return s.window.take()
}

// roomLocked tells whether a request would be issued at once.
func (s *Session) roomLocked() bool { return len(s.spare) > 0 || s.window.room() }

// spareLocked gives a sequence back that no node has ever executed.
func (s *Session) spareLocked(sequence uint64) {
	s.spare = append(s.spare, sequence)
	s.moveUpLocked()
}

// doneLocked notes that the answer to a sequence, or to its cancellation, has
// arrived, and lets the backlog move up.
func (s *Session) doneLocked(sequence uint64) {
	if sequence == 0 {
		return
	}
	s.window.answer(sequence)
	s.moveUpLocked()
}

func (s *Session) moveUpLocked() {
	for len(s.backlog) > 0 && s.roomLocked() {
		next := s.backlog[0]
		s.backlog = s.backlog[1:]
		s.issueLocked(next)
	}
}

// toldLocked notes an answer's position: on a stream that lost nothing, all
// events before it have arrived.
func (s *Session) toldLocked(p *lockstepv1.Position) {
	if s.synced {
		s.told = later(s.told, position(p))
		if s.claim != nil {
			s.believeLocked(s.client.now())
		}
	}
}

package serve

import (
	"fmt"
	"sync"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// proofTimeout bounds how long a node tries to prove how fresh its state is.
const proofTimeout = 750 * time.Millisecond

// freshness is the last proof of how fresh this node's state is: a state that
// has come to index is as fresh as the instant at which the leader was asked,
// because the leader answered after a round that began later.
type freshness struct {
	mu    sync.Mutex
	since time.Time // on Mono; zero: no proof yet
	index uint64
}

func (f *freshness) note(since time.Time, index uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if since.After(f.since) {
		f.since, f.index = since, index
	}
}

func (f *freshness) last() (time.Time, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.since, f.index
}

// age is how old this node's state is at most; false: it cannot be shown.
func (s *Server) age() (time.Duration, bool) {
	since, index := s.fresh.last()
	if since.IsZero() || s.replica.Index() < index {
		return 0, false
	}
	return s.clocks.Mono.Since(since), true
}

// staleRead answers from this node's own state if it is fresh enough, or can be
// shown to be by asking the leader.
func (s *Server) staleRead(o *opsStream, f *lockstepv1.ClientFrame, bound time.Duration) {
	age, known := s.age()
	if bound < 0 || known && age <= bound {
		if !known {
			age = -1
		}
		go o.list(f, &lockstepv1.ReadInfo{AgeNs: int64(age)})
		return
	}
	s.prove(func(problem string) {
		age, known := s.age()
		switch {
		case known && age <= bound:
			go o.list(f, &lockstepv1.ReadInfo{AgeNs: int64(age)})
		case known:
			o.problem(f.GetId(), tooStale(fmt.Sprintf("the state of %s may be %s old, and %s", s.id.Node, age.Round(time.Millisecond), problem)))
		default:
			o.problem(f.GetId(), tooStale(fmt.Sprintf("%s cannot show how old its state is: %s", s.id.Node, problem)))
		}
	})
}

func tooStale(detail string) *lockstepv1.Problem {
	return &lockstepv1.Problem{Code: lockstepv1.Code_CODE_TOO_STALE, Detail: detail + "; allow more staleness, or ask another node"}
}

// prove asks the leader for its read index and waits until this node's state has
// come so far; then it calls done, once, with why that failed or what was slow.
func (s *Server) prove(done func(problem string)) {
	since := s.clocks.Mono.Now()
	var once sync.Once
	finish := func(problem string) { once.Do(func() { done(problem) }) }
	timer := s.clocks.Mono.AfterFunc(proofTimeout, func() { finish("the leader does not answer in time") })
	s.readIndex(func(index uint64, problem *lockstepv1.Problem) {
		if problem != nil {
			timer.Stop()
			finish(problem.GetDetail())
			return
		}
		s.replica.WhenReached(index, func() {
			timer.Stop()
			s.fresh.note(since, index)
			finish("proving it took longer than the bound")
		})
	})
}

// readIndex asks the leader, be it this node.
func (s *Server) readIndex(done func(index uint64, problem *lockstepv1.Problem)) {
	if t := s.office.Current(); t != nil {
		t.Confirm(true, func(index uint64, err error) {
			if err != nil {
				done(0, s.problem(err))
				return
			}
			done(index, nil)
		})
		return
	}
	node, _ := s.raft.Leader()
	if node == "" || node == s.id.Node {
		done(0, s.noLeader(lockstepv1.Code_CODE_NO_LEADER, "no leader is known"))
		return
	}
	q := &lockstepv1.PeerRequest{Body: &lockstepv1.PeerRequest_ReadIndex{ReadIndex: &lockstepv1.ReadIndexRequest{}}}
	s.asker.Ask(node, q, func(r *lockstepv1.PeerReply) {
		switch b := r.GetBody().(type) {
		case *lockstepv1.PeerReply_ReadIndex:
			done(b.ReadIndex.GetIndex(), nil)
		case *lockstepv1.PeerReply_Problem:
			done(0, b.Problem)
		default:
			done(0, s.noLeader(lockstepv1.Code_CODE_NO_LEADER, "the leader "+node+" cannot be reached"))
		}
	})
}

// Term implements questions.Answers.
func (s *Server) Term() (uint64, bool) {
	if s.raft == nil {
		return 0, false
	}
	return s.raft.Term(), true
}

// ReadIndex implements questions.Answers: only a leader in office answers.
func (s *Server) ReadIndex(done func(index uint64, problem *lockstepv1.Problem)) {
	if s.raft == nil || s.office.Current() == nil {
		done(0, &lockstepv1.Problem{Code: lockstepv1.Code_CODE_NO_LEADER, Detail: s.id.Node + " does not lead"})
		return
	}
	s.readIndex(done)
}

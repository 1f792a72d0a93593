package serve

import (
	"errors"
	"fmt"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/confirm"
	"lockstep/nodes/propose"
	"lockstep/nodes/tenure"
)

// retryWhenFull is the hint that goes with RESOURCE_EXHAUSTED.
const retryWhenFull = 100 * time.Millisecond

// problem says what an error of the node's rooms means to a client.
func (s *Server) problem(err error) *lockstepv1.Problem {
	switch {
	case errors.Is(err, propose.ErrUnknown):
		return s.noLeader(lockstepv1.Code_CODE_UNKNOWN_OUTCOME,
			"the leader changed while the request was in flight: it may or may not take effect; send it again with the same sequence")
	case errors.Is(err, propose.ErrFull), errors.Is(err, confirm.ErrFull):
		return &lockstepv1.Problem{
			Code: lockstepv1.Code_CODE_RESOURCE_EXHAUSTED, RetryAfterNs: int64(retryWhenFull),
			Detail: fmt.Sprintf("node %s has too many requests waiting; try again later", s.id.Node),
		}
	case errors.Is(err, confirm.ErrNoQuorum):
		return &lockstepv1.Problem{
			Code:   lockstepv1.Code_CODE_NO_QUORUM,
			Detail: fmt.Sprintf("no quorum: %s leads, but too few of the %d voters answer; start the nodes that are down", s.id.Node, len(s.raft.Voters())),
		}
	case errors.Is(err, propose.ErrOver), errors.Is(err, confirm.ErrOver), errors.Is(err, tenure.ErrOver):
		return s.noLeader(lockstepv1.Code_CODE_NO_LEADER, "this node has stopped leading; try the new leader")
	default:
		return s.noLeader(lockstepv1.Code_CODE_NO_LEADER, err.Error())
	}
}

func (s *Server) noLeader(code lockstepv1.Code, detail string) *lockstepv1.Problem {
	return &lockstepv1.Problem{Code: code, Detail: detail, Leader: s.leader()}
}

func invalid(format string, args ...any) *lockstepv1.Problem {
	return &lockstepv1.Problem{Code: lockstepv1.Code_CODE_INVALID, Detail: fmt.Sprintf(format, args...)}
}

func notBound(id uint64) *lockstepv1.Problem {
	return &lockstepv1.Problem{
		Code:   lockstepv1.Code_CODE_NOT_BOUND,
		Detail: fmt.Sprintf("session %d is not bound on this connection: bind it with its secret first", id),
	}
}

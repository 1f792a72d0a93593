package wire

import (
	"fmt"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
)

// Answer translates what the log decided about the request with this id. A result
// that answers no client's request is a bug and panics.
func Answer(id uint64, result engine.Result) *lockstepv1.NodeFrame {
	frame := &lockstepv1.NodeFrame{Id: id}
	switch r := result.(type) {
	case *engine.Opened:
		frame.Body = &lockstepv1.NodeFrame_SessionOpened{SessionOpened: &lockstepv1.SessionOpened{
			Session: uint64(r.Session), Incarnation: r.Incarnation,
			TtlNs: int64(r.TTL), GraceNs: int64(r.Grace), Position: Position(r.Position),
		}}
	case *engine.TakenOver:
		frame.Body = &lockstepv1.NodeFrame_SessionTakenOver{SessionTakenOver: &lockstepv1.SessionTakenOver{
			Incarnation: r.Incarnation, TtlNs: int64(r.TTL), GraceNs: int64(r.Grace), Position: Position(r.Position),
			LastSequence: r.LastSequence, EmbargoNs: int64(r.Embargo),
		}}
	case *engine.Done:
		frame.Body = &lockstepv1.NodeFrame_Done{Done: &lockstepv1.Done{Position: Position(r.Position)}}
	case *engine.Granted:
		frame.Body = &lockstepv1.NodeFrame_Granted{Granted: &lockstepv1.Granted{
			Grant: Grant(&r.Grant), HoldRemainingNs: int64(r.HoldRemaining), Position: Position(r.Position),
		}}
	case *engine.Queued:
		frame.Body = &lockstepv1.NodeFrame_Queued{Queued: &lockstepv1.Queued{
			Waiter: uint64(r.Waiter), Position: Position(r.Position), Ahead: r.Ahead,
		}}
	case *engine.Released:
		frame.Body = &lockstepv1.NodeFrame_Released{Released: &lockstepv1.Released{
			Remaining: r.Remaining, Position: Position(r.Position),
		}}
	case *engine.Cancelled:
		frame.Body = &lockstepv1.NodeFrame_Cancelled{Cancelled: cancelled(r)}
	case *engine.Refused:
		frame.Body = &lockstepv1.NodeFrame_Refusal{Refusal: Refusal(r)}
	default:
		panic(fmt.Sprintf("wire: a %T answers no client", result))
	}
	return frame
}

func cancelled(r *engine.Cancelled) *lockstepv1.Cancelled {
	answer := &lockstepv1.Cancelled{
		Outcome: lockstepv1.Cancelled_Outcome(r.Outcome), Position: Position(r.Position),
	}
	if r.Outcome == engine.WasGranted {
		answer.Grant, answer.HoldRemainingNs = Grant(&r.Grant), int64(r.HoldRemaining)
	}
	return answer
}

// Refusal translates a refusal.
func Refusal(r *engine.Refused) *lockstepv1.Refusal {
	refusal := &lockstepv1.Refusal{
		Reason: lockstepv1.Reason(r.Reason), Detail: r.Detail, Limit: r.Limit,
		RetryAfterNs: int64(r.RetryAfter), Position: Position(r.Position),
	}
	if r.Holder.Token != 0 {
		refusal.Holder = Grant(&r.Holder)
	}
	return refusal
}

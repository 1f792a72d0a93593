package client

import (
	"errors"
	"fmt"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// problemError carries a node's Problem as the cause of an error.
type problemError struct {
	code   lockstepv1.Code
	detail string
}

// Error tells the code and the node's own words.
func (e *problemError) Error() string {
	if e.detail == "" {
		return e.code.String()
	}
	return e.detail
}

// unavailable is what a caller is told whose request found nobody to decide it.
func unavailable(why error) *Error {
	e := &Error{Err: ErrUnavailable, Cause: why}
	if why == nil {
		e.Detail = "no node has answered yet; check endpoints, network and that a majority of the nodes runs"
	}
	return e
}

// fate is what becomes of a call that was answered with a problem.
type fate uint8

const (
	// fateRetry: it was not executed; send it again after a pause.
	fateRetry fate = iota + 1
	// fateRetryUncertain: it may have been executed; send it again after a pause.
	fateRetryUncertain
	// fateRebind: bind the session again, then send it again.
	fateRebind
	// fateFail: tell the caller.
	fateFail
	// fateLineage: the session belongs to an earlier lineage.
	fateLineage
)

// judge tells what to do about a problem; err is for fateFail.
func judge(p *lockstepv1.Problem) (fate, error) {
	cause := &problemError{code: p.GetCode(), detail: p.GetDetail()}
	fail := func(sentinel error) (fate, error) {
		return fateFail, &Error{Err: sentinel, Detail: p.GetDetail(), RetryAfter: time.Duration(p.GetRetryAfterNs())}
	}
	switch p.GetCode() {
	case lockstepv1.Code_CODE_NO_LEADER, lockstepv1.Code_CODE_NO_QUORUM,
		lockstepv1.Code_CODE_RESOURCE_EXHAUSTED, lockstepv1.Code_CODE_STOPPING:
		return fateRetry, cause
	case lockstepv1.Code_CODE_UNKNOWN_OUTCOME:
		return fateRetryUncertain, cause
	case lockstepv1.Code_CODE_NOT_BOUND:
		return fateRebind, cause
	case lockstepv1.Code_CODE_INVALID:
		return fail(ErrInvalid)
	case lockstepv1.Code_CODE_WRONG_CLUSTER:
		return fail(ErrWrongCluster)
	case lockstepv1.Code_CODE_WRONG_LINEAGE:
		return fateLineage, cause
	case lockstepv1.Code_CODE_VERSION:
		return fail(ErrVersion)
	case lockstepv1.Code_CODE_TOO_STALE:
		return fail(ErrTooStale)
	case lockstepv1.Code_CODE_NOT_PERMITTED:
		return fail(ErrNotPermitted)
	case lockstepv1.Code_CODE_UNSPECIFIED:
	}
	// A code of a later version: nothing is known about what happened.
	return fateRetryUncertain, cause
}

// permanent tells whether trying the same node again cannot help.
func permanent(err error) bool {
	return errors.Is(err, ErrWrongCluster) || errors.Is(err, ErrNotPermitted) ||
		errors.Is(err, ErrVersion) || errors.Is(err, ErrInvalid)
}

// ofOperation names the operation in an error.
func ofOperation(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) && e.Op == "" {
		named := *e
		named.Op, named.Path = op, path
		return &named
	}
	if e != nil {
		return err
	}
	return &Error{Op: op, Path: path, Err: ErrUnavailable, Cause: err}
}

// refused turns a replicated refusal into an error.
func refused(op, path string, r *lockstepv1.Refusal) *Error {
	e := &Error{
		Op: op, Path: path, Detail: r.GetDetail(), Limit: r.GetLimit(),
		RetryAfter: time.Duration(r.GetRetryAfterNs()),
	}
	if h := r.GetHolder(); h != nil {
		info := grantInfo(h)
		e.Holder = &info
	}
	switch r.GetReason() {
	case lockstepv1.Reason_REASON_SESSION_UNKNOWN, lockstepv1.Reason_REASON_SESSION_EXPIRED:
		e.Err = ErrSessionExpired
	case lockstepv1.Reason_REASON_SESSION_SUPERSEDED:
		e.Err = ErrSuperseded
	case lockstepv1.Reason_REASON_NOT_YOURS:
		e.Err = ErrNotPermitted
	case lockstepv1.Reason_REASON_HELD:
		e.Err = ErrHeld
	case lockstepv1.Reason_REASON_NOT_HOLDER:
		e.Err = ErrNotHeld
	case lockstepv1.Reason_REASON_CONVERSION:
		e.Err = ErrConversion
	case lockstepv1.Reason_REASON_ALREADY_WAITING:
		e.Err = ErrAlreadyWaiting
	case lockstepv1.Reason_REASON_RESOURCE_EXHAUSTED:
		e.Err = ErrResourceExhausted
	case lockstepv1.Reason_REASON_CANCELLED:
		e.Err = ErrTimeout
	case lockstepv1.Reason_REASON_EMBARGOED:
		e.Err = ErrUnavailable
	case lockstepv1.Reason_REASON_INVALID, lockstepv1.Reason_REASON_SEQUENCE_REUSED,
		lockstepv1.Reason_REASON_SEQUENCE_WINDOW, lockstepv1.Reason_REASON_STALE_TERM,
		lockstepv1.Reason_REASON_UNSPECIFIED:
		e.Err = ErrInvalid
	case lockstepv1.Reason_REASON_SEQUENCE_ACKNOWLEDGED:
		// The service has forgotten what it answered; it was decided long ago.
		e.Err = ErrOutcomeUnknown
	}
	if e.Err == nil {
		e.Err = ErrInvalid
		e.Detail = fmt.Sprintf("refused for a reason this client does not know (%d): %s", r.GetReason(), r.GetDetail())
	}
	return e
}

// sessionOver tells whether a refusal says that the session is over for this
// client.
func sessionOver(r *lockstepv1.Refusal) bool {
	reason := r.GetReason()
	return reason == lockstepv1.Reason_REASON_SESSION_UNKNOWN || reason == lockstepv1.Reason_REASON_SESSION_EXPIRED ||
		reason == lockstepv1.Reason_REASON_SESSION_SUPERSEDED || reason == lockstepv1.Reason_REASON_NOT_YOURS
}

// unexpected is the answer of a node that does not fit the request.
func unexpected(op, path string, f *lockstepv1.NodeFrame) *Error {
	return &Error{Op: op, Path: path, Err: ErrVersion, Detail: fmt.Sprintf("the node answered with %T", f.GetBody())}
}

package serve

import (
	"crypto/subtle"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/tenure"
	"lockstep/nodes/wire"
)

// bind makes the connection speak for a session. A yes is given at once; a no
// needs proof that this node is still leader and knows of everything committed.
func (o *opsStream) bind(t *tenure.Tenure, id uint64, b *lockstepv1.BindSession) {
	if o.tryBind(id, b) == nil {
		return
	}
	o.server.confirmed(t, func(err error) {
		if err != nil {
			o.problem(id, o.server.problem(err))
			return
		}
		if refused := o.tryBind(id, b); refused != nil {
			o.send(wire.Answer(id, refused))
		}
	})
}

// tryBind binds and answers, or returns why not. What the session's state is and
// from where on its events are pushed are one moment.
func (o *opsStream) tryBind(id uint64, b *lockstepv1.BindSession) (refused *engine.Refused) {
	var info engine.SessionInfo
	var at engine.Position
	o.server.replica.Locked(func(e *engine.Engine) {
		at = engine.Position{Index: e.Index(), N: ^uint32(0)}
		found := false
		info, found = e.Session(engine.SessionID(b.GetSession()))
		if refused = o.mayBind(info, found, b); refused == nil {
			o.bound(info.ID, info.Incarnation)
		}
	})
	if refused != nil {
		return refused
	}
	o.send(&lockstepv1.NodeFrame{Id: id, Body: &lockstepv1.NodeFrame_SessionBound{SessionBound: &lockstepv1.SessionBound{
		TtlNs: int64(info.TTL), GraceNs: int64(info.Grace), Position: wire.Position(at),
	}}})
	return nil
}

func (o *opsStream) mayBind(s engine.SessionInfo, found bool, b *lockstepv1.BindSession) *engine.Refused {
	hash := wire.HashSecret(b.GetSecret())
	switch {
	case !found:
		return &engine.Refused{
			Reason: engine.ReasonSessionUnknown,
			Detail: "the session does not exist: it has expired or ended and is gone; open a new one",
		}
	case s.Principal != o.conn.key.principal || subtle.ConstantTimeCompare(hash[:], s.SecretHash[:]) != 1:
		return &engine.Refused{Reason: engine.ReasonNotYours, Detail: "secret or principal do not fit the session"}
	case s.State == engine.SessionExpired:
		return &engine.Refused{
			Reason: engine.ReasonSessionExpired, Detail: "the session is over, and what it held is being freed; open a new one",
		}
	case b.GetIncarnation() < s.Incarnation:
		return &engine.Refused{
			Reason: engine.ReasonSessionSuperseded, Detail: "another process has taken the session over",
		}
	case b.GetIncarnation() > s.Incarnation:
		return &engine.Refused{
			Reason: engine.ReasonInvalid, Detail: "the session has no such incarnation yet",
		}
	default:
		return nil
	}
}

package wire

import (
	"crypto/sha256"
	"math"
	"time"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
)

// MinSecret and MaxSecret bound a session's secret, in bytes: short ones can be
// guessed.
const (
	MinSecret = 16
	MaxSecret = 64
)

// HashSecret is what the log keeps of a secret.
func HashSecret(secret []byte) [32]byte { return sha256.Sum256(secret) }

// Kind says what a request needs.
type Kind uint8

const (
	// Nothing: the frame has no body that this node knows.
	Nothing Kind = 0
	// Opening opens or takes over a session, and binds it to the connection.
	Opening Kind = 1
	// Mutation changes a session that must be bound on the connection.
	Mutation Kind = 2
	// Binding binds a session to the connection, and changes nothing in the log.
	Binding Kind = 3
	// SessionRead is a linearizable read about a session bound on the connection.
	SessionRead Kind = 4
	// Listing is a read with a consistency of its own.
	Listing Kind = 5
	// NodeRead asks the answering node about itself.
	NodeRead Kind = 6
)

// KindOf says what a request needs.
func KindOf(f *lockstepv1.ClientFrame) Kind {
	switch f.GetBody().(type) {
	case nil:
		return Nothing
	case *lockstepv1.ClientFrame_OpenSession, *lockstepv1.ClientFrame_TakeOverSession:
		return Opening
	case *lockstepv1.ClientFrame_LeaveSession, *lockstepv1.ClientFrame_EndSession, *lockstepv1.ClientFrame_Acquire,
		*lockstepv1.ClientFrame_Release, *lockstepv1.ClientFrame_Cancel:
		return Mutation
	case *lockstepv1.ClientFrame_BindSession:
		return Binding
	case *lockstepv1.ClientFrame_GetSession, *lockstepv1.ClientFrame_Validate:
		return SessionRead
	case *lockstepv1.ClientFrame_ListLocks, *lockstepv1.ClientFrame_ListSessions, *lockstepv1.ClientFrame_ListWaiters:
		return Listing
	case *lockstepv1.ClientFrame_GetStatus:
		return NodeRead
	}
	return Nothing
}

// SessionOf is the session that must be bound on the connection for a Mutation or
// a SessionRead; 0 for other requests.
func SessionOf(f *lockstepv1.ClientFrame) engine.SessionID {
	switch b := f.GetBody().(type) {
	case *lockstepv1.ClientFrame_Acquire:
		return engine.SessionID(b.Acquire.GetHeader().GetSession())
	case *lockstepv1.ClientFrame_Release:
		return engine.SessionID(b.Release.GetHeader().GetSession())
	case *lockstepv1.ClientFrame_Cancel:
		return engine.SessionID(b.Cancel.GetHeader().GetSession())
	case *lockstepv1.ClientFrame_LeaveSession:
		return engine.SessionID(b.LeaveSession.GetHeader().GetSession())
	case *lockstepv1.ClientFrame_EndSession:
		return engine.SessionID(b.EndSession.GetHeader().GetSession())
	case *lockstepv1.ClientFrame_GetSession:
		return engine.SessionID(b.GetSession.GetSession())
	case *lockstepv1.ClientFrame_Validate:
		return engine.SessionID(b.Validate.GetSession())
	}
	return 0
}

// Command translates an Opening or a Mutation of the principal; nil for other
// requests. Whether it makes sense is for engine.Check to say, but for secrets,
// which do not reach it: see CheckSecret.
func Command(f *lockstepv1.ClientFrame, principal string) engine.Command {
	switch b := f.GetBody().(type) {
	case *lockstepv1.ClientFrame_Acquire:
		return acquire(b.Acquire)
	case *lockstepv1.ClientFrame_Release:
		return &engine.Release{
			Request: request(b.Release.GetHeader()), Owner: engine.OwnerID(b.Release.GetOwner()),
			Path: b.Release.GetPath(), Token: engine.Token(b.Release.GetToken()),
		}
	case *lockstepv1.ClientFrame_Cancel:
		return &engine.Cancel{Request: request(b.Cancel.GetHeader()), Target: b.Cancel.GetTarget()}
	case *lockstepv1.ClientFrame_OpenSession:
		return &engine.OpenSession{
			SecretHash: HashSecret(b.OpenSession.GetSecret()),
			TTL:        time.Duration(b.OpenSession.GetTtlNs()), Grace: time.Duration(b.OpenSession.GetGraceNs()),
			Principal: principal, Label: b.OpenSession.GetLabel(),
		}
	case *lockstepv1.ClientFrame_TakeOverSession:
		return &engine.TakeOver{
			Session: engine.SessionID(b.TakeOverSession.GetSession()), SecretHash: HashSecret(b.TakeOverSession.GetSecret()),
			Principal: principal, Nonce: b.TakeOverSession.GetNonce(),
		}
	case *lockstepv1.ClientFrame_LeaveSession:
		return &engine.Leave{Request: request(b.LeaveSession.GetHeader())}
	case *lockstepv1.ClientFrame_EndSession:
		return &engine.EndSession{Request: request(b.EndSession.GetHeader())}
	}
	return nil
}

func acquire(a *lockstepv1.Acquire) engine.Command {
	return &engine.Acquire{
		Request: request(a.GetHeader()), Owner: engine.OwnerID(a.GetOwner()), Path: a.GetPath(),
		Mode: mode(a.GetMode()), Wait: engine.Waiting(a.GetWaitNs()),
		Hold: time.Duration(a.GetHoldNs()), Delay: time.Duration(a.GetDelayNs()),
	}
}

// mode keeps numbers that do not fit from becoming modes that exist.
func mode(m lockstepv1.Mode) engine.Mode {
	if m < 0 || m > math.MaxUint8 {
		return 0
	}
	return engine.Mode(m)
}

func request(h *lockstepv1.RequestHeader) engine.Request {
	return engine.Request{
		Session: engine.SessionID(h.GetSession()), Incarnation: h.GetIncarnation(), Sequence: h.GetSequence(),
		AckedThrough: h.GetAcknowledgedThrough(), SeenThrough: FromPosition(h.GetSeenThrough()),
	}
}

// CheckSecret refuses a request whose secret is too short or too long; nil: none
// is, or there is none.
func CheckSecret(f *lockstepv1.ClientFrame) *lockstepv1.Problem {
	var secret []byte
	switch b := f.GetBody().(type) {
	case *lockstepv1.ClientFrame_OpenSession:
		secret = b.OpenSession.GetSecret()
	case *lockstepv1.ClientFrame_BindSession:
		secret = b.BindSession.GetSecret()
	case *lockstepv1.ClientFrame_TakeOverSession:
		secret = b.TakeOverSession.GetSecret()
	default:
		return nil
	}
	if len(secret) < MinSecret || len(secret) > MaxSecret {
		return Problem(lockstepv1.Code_CODE_INVALID, "the session's secret has %d bytes: it takes %d to %d random ones", len(secret), MinSecret, MaxSecret)
	}
	return nil
}

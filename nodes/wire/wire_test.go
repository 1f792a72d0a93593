package wire_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/engine"
	"lockstep/nodes/wire"
)

// Every body that the protocol has must be known, so that a new one is not
// answered with "unknown" by an oversight.
func TestEveryBodyHasAKind(t *testing.T) {
	body := new(lockstepv1.ClientFrame).ProtoReflect().Descriptor().Oneofs().ByName("body")
	for i := range body.Fields().Len() {
		field := body.Fields().Get(i)
		t.Run(string(field.Name()), func(t *testing.T) {
			frame := new(lockstepv1.ClientFrame)
			frame.ProtoReflect().Set(field, frame.ProtoReflect().NewField(field))
			kind := wire.KindOf(frame)
			require.NotEqual(t, wire.Nothing, kind)
			command := wire.Command(frame, "someone")
			assert.Equal(t, kind == wire.Opening || kind == wire.Mutation, command != nil)
		})
	}
}

func TestSessionOfEveryRequestThatNamesOne(t *testing.T) {
	body := new(lockstepv1.ClientFrame).ProtoReflect().Descriptor().Oneofs().ByName("body")
	for i := range body.Fields().Len() {
		field := body.Fields().Get(i)
		t.Run(string(field.Name()), func(t *testing.T) {
			frame := new(lockstepv1.ClientFrame)
			inner := frame.ProtoReflect().NewField(field)
			frame.ProtoReflect().Set(field, inner)
			named := nameSession(inner.Message(), 7)
			got := wire.SessionOf(frame)
			switch kind := wire.KindOf(frame); kind {
			case wire.Mutation, wire.SessionRead:
				require.True(t, named)
				assert.Equal(t, engine.SessionID(7), got)
			case wire.Nothing, wire.Opening, wire.Binding, wire.Listing, wire.NodeRead:
				assert.Zero(t, got, "not bound by naming it")
			}
		})
	}
}

// nameSession sets header.session or session of a request.
func nameSession(m protoreflect.Message, id uint64) bool {
	if header := m.Descriptor().Fields().ByName("header"); header != nil {
		m = m.Mutable(header).Message()
	}
	field := m.Descriptor().Fields().ByName("session")
	if field == nil {
		return false
	}
	m.Set(field, protoreflect.ValueOfUint64(id))
	return true
}

func TestAcquireIsTranslatedWhole(t *testing.T) {
	frame := &lockstepv1.ClientFrame{Id: 3, Body: &lockstepv1.ClientFrame_Acquire{Acquire: &lockstepv1.Acquire{
		Header: &lockstepv1.RequestHeader{
			Session: 1, Incarnation: 2, Sequence: 3, AcknowledgedThrough: 2,
			SeenThrough: &lockstepv1.Position{Index: 9, N: 4},
		},
		Owner: 5, Path: "/a/b", Mode: lockstepv1.Mode_MODE_SHARED, WaitNs: -1, HoldNs: int64(time.Minute), DelayNs: int64(time.Second),
	}}}
	want := &engine.Acquire{
		Request: engine.Request{Session: 1, Incarnation: 2, Sequence: 3, AckedThrough: 2, SeenThrough: engine.Position{Index: 9, N: 4}},
		Owner:   5, Path: "/a/b", Mode: engine.Shared, Wait: engine.WaitForever, Hold: time.Minute, Delay: time.Second,
	}
	assert.Equal(t, want, wire.Command(frame, "someone"))
}

func TestModesThatDoNotFitAreNoModes(t *testing.T) {
	for _, m := range []lockstepv1.Mode{-1, 256 + lockstepv1.Mode_MODE_EXCLUSIVE, 1 << 30} {
		frame := &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_Acquire{Acquire: &lockstepv1.Acquire{Mode: m}}}
		assert.Zero(t, wire.Command(frame, "").(*engine.Acquire).Mode)
	}
}

// The engine's numbers are the wire's.
func TestEnumerationsAgree(t *testing.T) {
	assert.EqualValues(t, lockstepv1.Mode_MODE_SHARED, engine.Shared)
	assert.EqualValues(t, lockstepv1.Mode_MODE_EXCLUSIVE, engine.Exclusive)
	assert.EqualValues(t, lockstepv1.EventKind_EVENT_KIND_TENURE_BEGAN, engine.EventTenureBegan)
	assert.EqualValues(t, lockstepv1.EventKind_EVENT_KIND_GRANTED, engine.EventGranted)
	assert.EqualValues(t, lockstepv1.EventKind_EVENT_KIND_REOPENED, engine.EventReopened)
	assert.EqualValues(t, lockstepv1.EndReason_END_REASON_RELEASED, engine.EndReleased)
	assert.EqualValues(t, lockstepv1.EndReason_END_REASON_CANCELLED, engine.EndCancelled)
	assert.EqualValues(t, lockstepv1.Reason_REASON_SESSION_UNKNOWN, engine.ReasonSessionUnknown)
	assert.EqualValues(t, lockstepv1.Reason_REASON_STALE_TERM, engine.ReasonStaleTerm)
	assert.EqualValues(t, lockstepv1.SessionStateKind_SESSION_STATE_KIND_EXPIRED, engine.SessionExpired)
	assert.EqualValues(t, lockstepv1.Cancelled_OUTCOME_ENDED, engine.WasEnded)
}

func TestSecretsAreBounded(t *testing.T) {
	frame := func(n int) *lockstepv1.ClientFrame {
		return &lockstepv1.ClientFrame{Body: &lockstepv1.ClientFrame_OpenSession{OpenSession: &lockstepv1.OpenSession{Secret: make([]byte, n)}}}
	}
	assert.NotNil(t, wire.CheckSecret(frame(wire.MinSecret-1)))
	assert.Nil(t, wire.CheckSecret(frame(wire.MinSecret)))
	assert.Nil(t, wire.CheckSecret(frame(wire.MaxSecret)))
	assert.NotNil(t, wire.CheckSecret(frame(wire.MaxSecret+1)))
}

func TestLockStates(t *testing.T) {
	for name, c := range map[string]struct {
		lock engine.LockInfo
		want lockstepv1.LockState
	}{
		"nobody":              {engine.LockInfo{}, lockstepv1.LockState_LOCK_STATE_FREE},
		"held":                {engine.LockInfo{Holders: make([]engine.Grant, 1)}, lockstepv1.LockState_LOCK_STATE_HELD},
		"held and waited for": {engine.LockInfo{Holders: make([]engine.Grant, 1), Waiters: 2}, lockstepv1.LockState_LOCK_STATE_QUEUED},
		"closed":              {engine.LockInfo{Closures: make([]engine.Closure, 1)}, lockstepv1.LockState_LOCK_STATE_CLOSED},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, wire.Lock(&c.lock, 0).GetState()) })
	}
}

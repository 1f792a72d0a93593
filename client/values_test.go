package client

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	lockstepv1 "lockstep/api/lockstep/v1"
)

func TestTokensAreStringsInJSON(t *testing.T) {
	b, err := json.Marshal(GrantInfo{Path: "/a", Token: 1<<63 + 1, Mode: ModeShared, Since: Position{Index: 3, N: 2}})
	require.NoError(t, err)
	assert.Contains(t, string(b), `"token":"9223372036854775809"`)
	assert.Contains(t, string(b), `"mode":"shared"`)
	assert.Contains(t, string(b), `"since":"3.2"`)
	var back GrantInfo
	require.Error(t, json.Unmarshal([]byte(`{"token":"x"}`), &back))
}

func TestProp_PositionsPrintAndParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Position{Index: rapid.Uint64().Draw(t, "index"), N: rapid.Uint32().Draw(t, "n")}
		q, err := ParsePosition(p.String())
		require.NoError(t, err)
		require.Equal(t, p, q)
		require.Zero(t, p.Compare(q))
		token := Token(rapid.Uint64().Draw(t, "token"))
		text, _ := token.MarshalText()
		var parsed Token
		require.NoError(t, parsed.UnmarshalText(text))
		require.Equal(t, token, parsed)
	})
	for _, bad := range []string{"", "x", "1.", "1.x", "-1", "1.2.3", "1.4294967296"} {
		_, err := ParsePosition(bad)
		require.ErrorIs(t, err, ErrInvalid, bad)
	}
	whole, err := ParsePosition("12")
	require.NoError(t, err)
	assert.Equal(t, Position{Index: 12, N: ^uint32(0)}, whole, "a bare index is the whole entry")
}

// Every reason, code, kind and state of the wire has a meaning and a name here.
func TestEveryWireValueIsKnown(t *testing.T) {
	for number, name := range lockstepv1.Reason_name {
		e := refused("op", "/a", &lockstepv1.Refusal{Reason: lockstepv1.Reason(number)})
		require.NotNil(t, e.Err, name)
		assert.NotContains(t, e.Detail, "does not know", name)
	}
	assert.Contains(t, refused("op", "/a", &lockstepv1.Refusal{Reason: 999}).Detail, "does not know")
	for number, name := range lockstepv1.Code_name {
		what, err := judge(&lockstepv1.Problem{Code: lockstepv1.Code(number)})
		assert.NotZero(t, what, name)
		require.Error(t, err, name)
	}
	what, _ := judge(&lockstepv1.Problem{Code: 999})
	assert.Equal(t, fateRetryUncertain, what, "nothing is known about a problem of a later version")
	for number, name := range lockstepv1.EventKind_name {
		if number != 0 {
			assert.NotEqual(t, "unknown", EventKind(number).String(), name)
		}
	}
	for number, name := range lockstepv1.EndReason_name {
		if number != 0 {
			assert.NotContains(t, []string{"", "unknown"}, EndReason(number).String(), name)
		}
	}
	for number, name := range lockstepv1.Mode_name {
		if number != 0 {
			assert.NotContains(t, Mode(number).String(), "(", name)
		}
	}
	for number, name := range lockstepv1.LockState_name {
		if number != 0 {
			assert.NotContains(t, LockState(number).String(), "(", name)
		}
	}
	for number, name := range lockstepv1.SessionStateKind_name {
		if number != 0 {
			assert.NotContains(t, State(number).String(), "(", name)
		}
	}
}

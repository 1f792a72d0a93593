package replica_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/engine"
	"lockstep/nodes/replica"
)

func batch(at engine.LogTime) engine.Batch {
	return engine.Batch{Time: at, Commands: []engine.Command{&engine.TakeOffice{Node: "n1", Term: 3}}}
}

// A batch that was closed in one tenure can be committed in a later term of the
// same node: see AppendEntry.
func TestStampCountsOnlyInTheTermItWasMadeIn(t *testing.T) {
	data := replica.AppendEntry(nil, 3, batch(engine.LogTime(time.Hour)))
	same, err := replica.DecodeEntry(7, 3, data)
	require.NoError(t, err)
	assert.Equal(t, engine.Entry{Index: 7, Term: 3, Batch: batch(engine.LogTime(time.Hour))}, same)
	later, err := replica.DecodeEntry(9, 5, data)
	require.NoError(t, err)
	assert.Zero(t, later.Time)
	assert.Len(t, later.Commands, 1, "the commands count: they carry their own terms, or a client asked for them")
}

func TestBadEntriesAreErrors(t *testing.T) {
	good := replica.AppendEntry(nil, 3, batch(1))
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":            {nil, engine.ErrCorrupt},
		"a later version":    {append([]byte{2}, good[1:]...), engine.ErrVersion},
		"no term":            {good[:1], engine.ErrCorrupt},
		"a term without end": {[]byte{1, 0xff, 0xff}, engine.ErrCorrupt},
		"no batch":           {good[:2], engine.ErrCorrupt},
		"half a batch":       {good[:len(good)-1], engine.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := replica.DecodeEntry(1, 3, c.data)
			require.ErrorIs(t, err, c.want)
		})
	}
}

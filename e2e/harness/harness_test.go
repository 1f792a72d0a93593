//go:build unix

package harness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The checker can fail: each kind of violation is planted once.
func TestBeliefsCheckFindsPlantedViolations(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, int64(ms)*int64(time.Millisecond)) }
	good := []Belief{
		{Path: "/a", Token: 1, Begin: at(0), End: at(10)},
		{Path: "/b", Token: 2, Begin: at(5), End: at(20)},
		{Path: "/a", Token: 3, Floor: 1, Begin: at(10), End: at(15)},
	}
	require.NoError(t, (&Beliefs{all: good}).Check())
	for _, c := range []struct {
		name string
		add  Belief
		want string
	}{
		{"two holders", Belief{Path: "/a", Token: 4, Floor: 3, Begin: at(14), End: at(16)}, "two holders for 1ms"},
		{"token twice", Belief{Path: "/c", Token: 3, Begin: at(50), End: at(60)}, "given twice"},
		{"token falls", Belief{Path: "/b", Token: 1 << 63, Begin: at(-9), End: at(-5)}, "did not rise"},
		{"floor too low", Belief{Path: "/a", Token: 5, Floor: 2, Begin: at(30), End: at(31)}, "the floor is below"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&Beliefs{all: append(append([]Belief(nil), good...), c.add)}).Check()
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
		})
	}
}

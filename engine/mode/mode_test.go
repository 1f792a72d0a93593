package mode

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCompatibilityMatrix(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b Mode
		want bool
	}{
		{"shared with shared", Shared, Shared, true},
		{"shared with exclusive", Shared, Exclusive, false},
		{"exclusive with shared", Exclusive, Shared, false},
		{"exclusive with exclusive", Exclusive, Exclusive, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, Compatible(c.a, c.b))
			assert.Equal(t, c.want, CompatibleWithAll(c.a, Of(c.b)))
		})
	}
}

func TestMatrixIsSymmetric(t *testing.T) {
	for a := range Mode(Last + 1) {
		for b := range Mode(Last + 1) {
			if a.Valid() && b.Valid() {
				assert.Equal(t, Compatible(a, b), Compatible(b, a), "%v %v", a, b)
			}
		}
	}
}

func TestSetsOfModes(t *testing.T) {
	assert.True(t, CompatibleWithAll(Exclusive, 0), "nobody blocks nobody")
	assert.False(t, CompatibleWithAll(Shared, Of(Shared, Exclusive)))
	assert.False(t, BlocksAll(0))
	assert.False(t, BlocksAll(Of(Shared)), "shared lets shared in")
	assert.True(t, BlocksAll(Of(Exclusive)))
	assert.Equal(t, Of(Shared, Exclusive), Of(Shared).With(Exclusive))
}

func TestCountsForgetWhatIsGone(t *testing.T) {
	var c Counts
	c.Add(Shared)
	c.Add(Shared)
	c.Add(Exclusive)
	assert.Equal(t, Of(Shared, Exclusive), c.Set())
	c.Remove(Shared)
	c.Remove(Exclusive)
	assert.Equal(t, Of(Shared), c.Set())
	c.Remove(Shared)
	assert.Zero(t, c.Set())
}

func TestNamesParseBack(t *testing.T) {
	for m := range Mode(255) {
		got, ok := Parse(m.String())
		assert.Equal(t, m.Valid(), ok, "%d", m)
		if ok {
			assert.Equal(t, m, got)
		}
	}
	_, ok := Parse("invalid")
	assert.False(t, ok)
}

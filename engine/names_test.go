package engine

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEveryValueHasAName(t *testing.T) {
	seen := map[string]bool{}
	check := func(set, name string) {
		t.Helper()
		assert.NotContains(t, name, "unknown ", set)
		assert.False(t, seen[set+name], "%s: %s", set, name)
		seen[set+name] = true
	}
	for k := KindTakeOffice; k <= KindCancel; k++ {
		check("command ", k.String())
	}
	for k := EventTenureBegan; k <= EventReopened; k++ {
		check("event ", k.String())
	}
	for r := EndReleased; r <= EndCancelled; r++ {
		check("end ", r.String())
	}
	for s := SessionAlive; s <= SessionExpired; s++ {
		check("state ", s.String())
	}
	for o := NeverExecuted; o <= WasEnded; o++ {
		check("outcome ", o.String())
	}
	for r := ReasonSessionUnknown; r <= ReasonStaleTerm; r++ {
		check("reason ", r.String())
		check("detail ", strings.ReplaceAll(detail(r, "x"), "unknown ", ""))
	}
	assert.Equal(t, "unknown 0", CommandKind(0).String())
	assert.Equal(t, "unknown 99", Reason(99).String())
	assert.Equal(t, "refused", detail(99, ""))
}

func TestPositionsAreOrdered(t *testing.T) {
	order := []Position{{}, {1, 0}, {1, 1}, {1, 2}, {2, 0}}
	for i, p := range order {
		for j, q := range order {
			want := 0
			if i != j {
				want = (i - j) / max(i-j, j-i)
			}
			assert.Equal(t, want, p.Compare(q), "%v %v", p, q)
		}
	}
	assert.Equal(t, "3.7", Position{3, 7}.String())
}

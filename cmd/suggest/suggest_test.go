package suggest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNear(t *testing.T) {
	keys := []string{"listen", "advertise", "data", "members", "node"}
	for _, c := range []struct{ name, word, want string }{
		{"one letter wrong", "listem", "listen"},
		{"two neighbours swapped", "lisetn", "listen"},
		{"letter missing", "membrs", "members"},
		{"letter added", "nodes", "node"},
		{"exact", "data", "data"},
		{"nothing near", "colour", ""},
		{"empty", "", ""},
		{"short words are not twisted beyond recognition", "dxyz", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Near(c.word, keys)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.want != "", ok)
		})
	}
}

func TestAsk(t *testing.T) {
	assert.Equal(t, ` (did you mean "listen"?)`, Ask("lisen", []string{"listen"}))
	assert.Empty(t, Ask("zzz", []string{"listen"}))
}

package exits

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRestart(t *testing.T) {
	for _, c := range []struct {
		name string
		code Code
		want bool
	}{
		{"halted", Halted, true},
		{"killed", 128 + 9, true},
		{"panic of the runtime", 2, true},
		{"port in use", Busy, true},
		{"full disk", DiskFull, false},
		{"damaged disk", Disk, false},
		{"configuration", Config, false},
		{"flags", Usage, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, c.code.Restart())
			assert.NotEmpty(t, c.code.Meaning())
		})
	}
	assert.Equal(t, "was ended by signal 9", Code(137).Meaning())
	assert.Equal(t, "exited with 2", Code(2).Meaning())
}

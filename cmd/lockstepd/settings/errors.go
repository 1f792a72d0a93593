package settings

import (
	"errors"
	"fmt"
)

// ErrSettings is what every error of this package wraps: the configuration
// cannot be used, and starting again will not help.
var ErrSettings = errors.New("configuration")

// ProblemError is one thing wrong with one option.
type ProblemError struct {
	// File and Line say where; Line is 0 when it is not in the file.
	File string
	Line int
	// Key is the option, such as "raft.leader-lease".
	Key string
	// Detail says what is wrong and what to do.
	Detail string
}

// Error implements error.
func (p *ProblemError) Error() string {
	switch {
	case p.File != "" && p.Line > 0:
		return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Key, p.Detail)
	case p.File != "":
		return fmt.Sprintf("%s: %s: %s", p.File, p.Key, p.Detail)
	default:
		return fmt.Sprintf("%s: %s", p.Key, p.Detail)
	}
}

// Unwrap makes errors.Is(err, ErrSettings) true.
func (p *ProblemError) Unwrap() error { return ErrSettings }

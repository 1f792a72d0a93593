package wire

import (
	"fmt"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// Problem says why a request was not decided by the log.
func Problem(code lockstepv1.Code, format string, args ...any) *lockstepv1.Problem {
	return &lockstepv1.Problem{Code: code, Detail: fmt.Sprintf(format, args...)}
}

package lockstep

import "context"

// Open connects to the cluster that has nodes at endpoints and returns when one
// has answered, or ctx ended.
//
// What is not given is looked for: endpoints in the environment variable
// LOCKSTEP_ENDPOINTS, certificates in LOCKSTEP_CA, LOCKSTEP_CERT and
// LOCKSTEP_KEY, and what is still missing in the data directory of `lockstepd
// dev`: WithDataDir, else LOCKSTEP_DATA, else ./data.
func Open(ctx context.Context, endpoints []string, opts ...Option) (*Client, error) {
	panic("skeleton")
}

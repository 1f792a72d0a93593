package fence

import (
	"context"
	"sync"

	"lockstep/client"
)

// Memory is a Store that lasts as long as the process. It is for resources that
// do not outlive the process either, and for tests: after a restart it would
// accept what it refused before. The zero Memory is ready for use.
type Memory struct {
	mu     sync.Mutex
	floors map[string]client.Token
}

var _ Store = (*Memory)(nil)

// Raise implements Store. It fails only with the cause of a ctx that has ended.
func (m *Memory) Raise(ctx context.Context, resource string, floor client.Token) (client.Token, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.floors == nil {
		m.floors = make(map[string]client.Token)
	}
	highest := max(m.floors[resource], floor)
	m.floors[resource] = highest
	return highest, nil
}

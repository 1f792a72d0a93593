//go:build unix

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lockstep"
	"lockstep/client/fence"
)

// resource is what a lock protects: a value behind a guard.
type resource struct {
	url   string
	guard *fence.Guard

	mu    sync.Mutex
	value string
}

func startResource(t *testing.T) *resource {
	t.Helper()
	r := &resource{guard: fence.New(&fence.Memory{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		var token, floor lockstep.Token
		fields := strings.Fields(string(body))
		if len(fields) != 3 || token.UnmarshalText([]byte(fields[0])) != nil || floor.UnmarshalText([]byte(fields[1])) != nil {
			http.Error(w, "token floor value", http.StatusBadRequest)
			return
		}
		if err := r.put(q.Context(), token, floor, fields[2]); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		fmt.Fprintln(w, "written")
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *resource) put(ctx context.Context, token, floor lockstep.Token, value string) error {
	return r.guard.Do(ctx, "the resource", token, floor, func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.value = value
		return nil
	})
}

func (r *resource) content() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.value
}

// write writes as a client in this process.
func (r *resource) write(t *testing.T, g *lockstep.Grant, value string) {
	t.Helper()
	require.NoError(t, r.put(t.Context(), g.Token(), g.Floor(), value))
}

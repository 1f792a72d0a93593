//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lockstep"
)

// resource is what a lock protects: it remembers what was written last, and
// refuses writes whose token is at or below the highest floor it has seen.
type resource struct {
	url string

	mu    sync.Mutex
	floor lockstep.Token
	value string
}

var errStale = errors.New("the token is not above the highest floor seen")

func startResource(t *testing.T) *resource {
	t.Helper()
	r := &resource{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		var token, floor lockstep.Token
		fields := strings.Fields(string(body))
		if len(fields) != 3 || token.UnmarshalText([]byte(fields[0])) != nil || floor.UnmarshalText([]byte(fields[1])) != nil {
			http.Error(w, "token floor value", http.StatusBadRequest)
			return
		}
		if err := r.put(token, floor, fields[2]); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		fmt.Fprintln(w, "written")
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *resource) put(token, floor lockstep.Token, value string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.floor = max(r.floor, floor); token <= r.floor {
		return errStale
	}
	r.value = value
	return nil
}

func (r *resource) content() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.value
}

// write writes as a client in this process.
func (r *resource) write(t *testing.T, g *lockstep.Grant, value string) {
	t.Helper()
	require.NoError(t, r.put(g.Token(), g.Floor(), value))
}

package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/admin"
)

type node struct{ healthy, ready error }

func (n node) Healthy() error { return n.healthy }
func (n node) Ready() error   { return n.ready }
func (n node) Status() *lockstepv1.Status {
	return &lockstepv1.Status{Node: "n1", Term: 7, Leader: &lockstepv1.Member{Node: "n2"}}
}

func get(n node, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	admin.Handler(n).ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestChecks(t *testing.T) {
	for name, c := range map[string]struct {
		node node
		path string
		code int
	}{
		"healthy":           {node{}, "/healthz", http.StatusOK},
		"stopping":          {node{healthy: errors.New("stopping")}, "/healthz", http.StatusServiceUnavailable},
		"ready":             {node{}, "/readyz", http.StatusOK},
		"no leader":         {node{ready: errors.New("no leader")}, "/readyz", http.StatusServiceUnavailable},
		"runs, not ready":   {node{ready: errors.New("no leader")}, "/healthz", http.StatusOK},
		"nothing else here": {node{}, "/", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.code, get(c.node, http.MethodGet, c.path).Code) })
	}
	assert.Equal(t, http.StatusMethodNotAllowed, get(node{}, http.MethodPost, "/status").Code)
}

func TestStatusIsJSON(t *testing.T) {
	w := get(node{}, http.MethodGet, "/status")
	var got map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	assert.Equal(t, "n1", got["node"])
	assert.Equal(t, "7", got["term"])
	assert.Equal(t, false, got["serving"])
}

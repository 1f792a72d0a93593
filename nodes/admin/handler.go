package admin

import (
	"io"
	"net/http"

	"google.golang.org/protobuf/encoding/protojson"

	lockstepv1 "lockstep/api/lockstep/v1"
)

// Node is what is asked about; *nodes.Node is one.
type Node interface {
	// Healthy is nil while the node runs.
	Healthy() error
	// Ready is nil while the node can serve clients.
	Ready() error
	// Status is what the node knows of itself and the cluster.
	Status() *lockstepv1.Status
}

// Handler serves
//
//	/healthz  200 while the node runs, else 503: restart it
//	/readyz   200 while it can serve clients, else 503: send them elsewhere
//	/status   the node's status as JSON; 64-bit numbers are strings
func Handler(node Node) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", check(node.Healthy))
	mux.Handle("GET /readyz", check(node.Ready))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { status(w, node.Status()) })
	return mux
}

func check(ask func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := ask(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, err.Error()+"\n")
			return
		}
		io.WriteString(w, "ok\n")
	})
}

func status(w http.ResponseWriter, s *lockstepv1.Status) {
	body, err := protojson.MarshalOptions{Multiline: true, UseProtoNames: true, EmitUnpopulated: true}.Marshal(s)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
}

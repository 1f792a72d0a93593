package lockstep_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A room is a folder, the rooms it may import, and why not more.
type room struct {
	folder string
	may    []string
	why    string
}

// rooms is the table of ARCHITECTURE.md; the longest folder that fits decides.
var rooms = []room{
	{"engine", []string{"engine"}, "the engine is a pure function of its log, so it knows no other room"},
	{"api", []string{"api"}, "api is what everybody speaks, so it knows nobody"},
	{"transport", []string{"transport", "api"}, "transport carries bytes and knows nothing of locks or servers"},
	{"nodes", []string{"nodes", "engine", "api", "transport"}, "a server needs no client, and nothing imports a command"},
	{"client", []string{"client", "api", "transport"}, "a client sees the service through the wire only"},
	{".", []string{".", "client", "api", "transport"}, "the root package is client plus QUIC and no more"},
	{"examples", []string{"."}, "examples show what users write, and they import the root package"},
	{"cmd", nil, ""},
	{"e2e", nil, ""},
}

// forbidden are single imports that a room's arrows would allow.
var forbidden = []struct{ folder, except, imported, why string }{
	{"nodes", "nodes/disk", "lockstep/nodes/disk", "stores are handed in: the simulator brings its own"},
	{"nodes", "nodes/disk", "lockstep/transport/quic", "the network is handed in: the simulator brings its own"},
	{"nodes", "nodes/disk", "github.com/hashicorp/raft-wal", "only nodes/disk may reach a disk"},
	{"nodes", "nodes/disk", "net", "only a Network that is handed in may reach a socket"},
	{"client", "", "lockstep/transport/quic", "the client takes a Network; the root package brings QUIC"},
	{"client", "", "net", "the client takes a Network"},
	{"engine", "", "os", "the engine does no I/O"},
	{"engine", "", "net", "the engine does no I/O"},
	{"engine", "", "log/slog", "the engine does not log: it returns events"},
	{"engine", "", "math/rand", "chance reaches the engine only as a generator in its state"},
	{"engine", "", "hash/maphash", "seeded per process: replicas would disagree"},
}

func TestArrowsPointInward(t *testing.T) {
	seen := map[string]int{}
	forEachImport(t, func(file, imported string) {
		folder := path.Dir(file)
		home := roomOf(folder)
		require.NotNil(t, home, "%s: no room is called %q; add it to the table in ARCHITECTURE.md and here", file, folder)
		seen[home.folder]++
		for _, f := range forbidden {
			if inside(folder, f.folder) && (f.except == "" || !inside(folder, f.except)) && imported == f.imported {
				t.Errorf("%s imports %s: %s", file, imported, f.why)
			}
		}
		target, ours := strings.CutPrefix(imported, "lockstep")
		if !ours || target != "" && target[0] != '/' || home.may == nil {
			return
		}
		to := roomOf(strings.TrimPrefix(target, "/"))
		require.NotNil(t, to, "%s imports %s, which is in no room", file, imported)
		for _, may := range home.may {
			if to.folder == may {
				return
			}
		}
		t.Errorf("%s imports %s: %s", file, imported, home.why)
	})
	for _, r := range []string{"engine", "api", "transport"} {
		require.Positive(t, seen[r], "no import seen in %s: the test looks at the wrong place", r)
	}
}

// forEachImport calls visit for each import of each production file.
func forEachImport(t *testing.T, visit func(file, imported string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools" || name == "data" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			visit(filepath.ToSlash(file), imported)
		}
		return nil
	}))
}

// roomOf finds the room of a folder; "" and "." are the root package.
func roomOf(folder string) *room {
	if folder == "" {
		folder = "."
	}
	for i := range rooms {
		if folder == rooms[i].folder || rooms[i].folder != "." && inside(folder, rooms[i].folder) {
			return &rooms[i]
		}
	}
	return nil
}

func inside(folder, parent string) bool {
	return folder == parent || strings.HasPrefix(folder, parent+"/")
}

package watch

import "strings"

// root is the prefix of everything, events without a path included.
const root = "/"

// Under tells whether path is prefix or below it, by segments: /a/bc is not under
// /a/b. Everything is under "/".
func Under(prefix, path string) bool {
	if prefix == root {
		return true
	}
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// ancestors calls f for path and everything that it is under, "/" last.
func ancestors(path string, f func(prefix string)) {
	for len(path) > 1 {
		f(path)
		path = path[:strings.LastIndexByte(path, '/')]
	}
	f(root)
}

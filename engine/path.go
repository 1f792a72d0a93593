package engine

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckPath says what is wrong with a lock's path, wrapping ErrPath; nil: nothing.
// A path starts with a slash, has 1 to MaxPathSegments segments and at most
// MaxPathBytes; no segment is empty, "." or ".."; it is valid UTF-8 without
// control characters. "/" is no lock's path, only a prefix of all of them.
func CheckPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("%w: it is empty", ErrPath)
	case path[0] != '/':
		return fmt.Errorf("%w: it does not start with '/'", ErrPath)
	case len(path) > MaxPathBytes:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrPath, len(path), MaxPathBytes)
	case path == "/":
		return fmt.Errorf("%w: '/' is no lock", ErrPath)
	}
	if plainPath(path) {
		return nil
	}
	if !utf8.ValidString(path) {
		return fmt.Errorf("%w: it is not valid UTF-8", ErrPath)
	}
	if i := strings.IndexFunc(path, unicode.IsControl); i >= 0 {
		return fmt.Errorf("%w: a control character at byte %d", ErrPath, i)
	}
	n := 0
	for segment := range strings.SplitSeq(path[1:], "/") {
		switch n++; segment {
		case "":
			return fmt.Errorf("%w: segment %d is empty", ErrPath, n)
		case ".", "..":
			return fmt.Errorf("%w: segment %d is %q", ErrPath, n, segment)
		}
	}
	if n > MaxPathSegments {
		return fmt.Errorf("%w: it has %d segments, at most %d are allowed", ErrPath, n, MaxPathSegments)
	}
	return nil
}

// plainPath accepts most good paths in one pass: printable ASCII, in which every
// segment starts with something else than a dot.
func plainPath(path string) bool {
	segments := 0
	previous := byte(0)
	for i := range len(path) {
		c := path[i]
		if c < ' ' || c >= 0x7f || previous == '/' && (c == '/' || c == '.') {
			return false
		}
		if c == '/' {
			segments++
		}
		previous = c
	}
	return previous != '/' && segments <= MaxPathSegments
}

// within says whether path is prefix itself or lies below it.
func within(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

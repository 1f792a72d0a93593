package engine

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckPath(t *testing.T) {
	for _, c := range []struct {
		name, path, want string
	}{
		{"plain", "/orders/eu/42", ""},
		{"one segment", "/a", ""},
		{"hidden segment", "/.hidden/..x/...", ""},
		{"other scripts", "/заказы/注文", ""},
		{"most bytes", "/" + strings.Repeat("x", MaxPathBytes-1), ""},
		{"most segments", strings.Repeat("/s", MaxPathSegments), ""},
		{"most segments, not plain", strings.Repeat("/ü", MaxPathSegments), ""},
		{"empty", "", "it is empty"},
		{"no slash", "a/b", "does not start with '/'"},
		{"only a slash", "/", "is no lock"},
		{"trailing slash", "/a/", "segment 2 is empty"},
		{"double slash", "/a//b", "segment 2 is empty"},
		{"two slashes", "//", "segment 1 is empty"},
		{"dot", "/a/./b", `segment 2 is "."`},
		{"dots", "/a/..", `segment 2 is ".."`},
		{"newline", "/a\nb", "control character at byte 2"},
		{"delete", "/a\x7f", "control character at byte 2"},
		{"C1 control", "/a\u0085", "control character at byte 2"},
		{"zero byte", "/a\x00", "control character at byte 2"},
		{"broken UTF-8", "/a\xff", "not valid UTF-8"},
		{"too many bytes", "/" + strings.Repeat("x", MaxPathBytes), "513 bytes, at most 512"},
		{"too many segments", strings.Repeat("/s", MaxPathSegments+1), "33 segments, at most 32"},
		{"too many segments, not plain", strings.Repeat("/ü", MaxPathSegments+1), "33 segments, at most 32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckPath(c.path)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrPath)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

// goodPath is the rule as its comment has it, without the fast pass.
func goodPath(path string) bool {
	if len(path) < 2 || len(path) > 512 || path[0] != '/' || !utf8.ValidString(path) {
		return false
	}
	for _, r := range path {
		if unicode.IsControl(r) {
			return false
		}
	}
	segments := strings.Split(path[1:], "/")
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return false
		}
	}
	return len(segments) <= 32
}

func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"/a/b", "/", "", "//", "/..", "/a/.b", "/\x7f", "/ü", "/a\xff", strings.Repeat("/a", 33)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		require.Equal(t, goodPath(path), CheckPath(path) == nil)
	})
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		name, path, prefix string
		want               bool
	}{
		{"everything", "/a/b", "", true},
		{"everything, by slash", "/a/b", "/", true},
		{"itself", "/a/b", "/a/b", true},
		{"below", "/a/b", "/a", true},
		{"below, with slash", "/a/b", "/a/", true},
		{"a longer name", "/a/bc", "/a/b", false},
		{"above", "/a", "/a/b", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, within(c.path, c.prefix))
		})
	}
}

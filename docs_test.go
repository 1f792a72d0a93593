package lockstep_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	testLink = regexp.MustCompile(`\[(Test\w+)\]\(([^)]+)\)`)
	link     = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
)

// What the documentation points at is there: every file, and every test by its
// name.
func TestDocumentationPointsAtWhatExists(t *testing.T) {
	links, tests := 0, 0
	require.NoError(t, filepath.WalkDir(".", func(page string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && name != "." && (strings.HasPrefix(name, ".") || name == "data" || name == "bin") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(page, ".md") {
			return nil
		}
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if target := m[1]; !strings.Contains(target, "://") {
				_, err := os.Stat(filepath.Join(filepath.Dir(page), target))
				assert.NoError(t, err, "%s points at %s", page, target)
				links++
			}
		}
		for _, m := range testLink.FindAllStringSubmatch(string(text), -1) {
			source, err := os.ReadFile(filepath.Join(filepath.Dir(page), m[2]))
			if assert.NoError(t, err, "%s names %s", page, m[1]) {
				assert.Contains(t, string(source), "func "+m[1]+"(", "%s names %s in %s", page, m[1], m[2])
				tests++
			}
		}
		return nil
	}))
	require.Greater(t, links, 20, "the test looks at the wrong place")
	require.Greater(t, tests, 30, "the test looks at the wrong place")
}

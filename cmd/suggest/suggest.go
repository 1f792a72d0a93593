// Package suggest finds the word that somebody probably meant; it refuses to
// guess when nothing is near.
package suggest

// Near returns the candidate nearest to word, if it is near enough to be a typo:
// within a third of the word's letters, and at least one. Of several equally
// near ones it returns the first.
func Near(word string, candidates []string) (string, bool) {
	best, bestDistance := "", max(1, len([]rune(word))/3)+1
	for _, c := range candidates {
		if d := distance([]rune(word), []rune(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best, best != ""
}

// Ask is Near as the end of an error message: ` (did you mean "x"?)`, or nothing.
func Ask(word string, candidates []string) string {
	if near, ok := Near(word, candidates); ok {
		return ` (did you mean "` + near + `"?)`
	}
	return ""
}

// distance is the optimal string alignment distance: insertions, deletions,
// replacements and swaps of neighbours.
func distance(a, b []rune) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// Package settings decides what configuration a node runs with: defaults, then
// the file, then flags. It refuses what it does not know or understand, says
// where it stands and what was probably meant, and never corrects a value.
package settings

// Package cow decides how an ordered collection is shared between the state that
// goes on and the views that look at how it was: a B-tree, copied on write. It
// refuses to know what it holds.
package cow

// Package render decides how what the service tells is shown: as a table for
// people, as JSON or YAML for programs. It changes nothing and asks nobody.
package render

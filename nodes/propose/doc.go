// Package propose packs the commands that arrive while an entry is in flight into
// the next one: group commit. It stamps log time and hands results back; it never
// says that a command failed when it cannot know.
package propose

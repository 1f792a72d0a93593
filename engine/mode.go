package engine

// Mode is a lock mode of Gray, Lorie, Putzolu and Traiger, "Granularity of Locks
// in a Shared Data Base" (1975). The numbers leave room for the intention modes.
type Mode uint8

const (
	// Shared lets other shared holders in.
	Shared Mode = 3
	// Exclusive lets nobody in.
	Exclusive Mode = 5
)

// String prints the mode as users write it.
func (m Mode) String() string {
	switch m {
	case Shared:
		return "shared"
	case Exclusive:
		return "exclusive"
	default:
		return "invalid"
	}
}

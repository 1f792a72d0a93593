package mode

// Mode is a lock mode of Gray, Lorie, Putzolu and Traiger, "Granularity of Locks
// in a Shared Data Base" (1975). The numbers leave room for the intention modes.
type Mode uint8

const (
	// Shared lets other shared holders in.
	Shared Mode = 3
	// Exclusive lets nobody in.
	Exclusive Mode = 5
)

// Last is the largest number a mode has.
const Last = 5

// compatible is the matrix: for each mode the modes it gets on with. A mode is
// defined by having a row here, a name below, and a place in All.
var compatible = [Last + 1]Set{
	Shared:    Of(Shared),
	Exclusive: 0,
}

// All holds the modes that exist.
var All = Of(Shared, Exclusive)

// Valid says whether the mode exists.
func (m Mode) Valid() bool { return m <= Last && All.Has(m) }

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

// Parse is the inverse of String.
func Parse(s string) (Mode, bool) {
	for m := range Mode(Last + 1) {
		if m.Valid() && m.String() == s {
			return m, true
		}
	}
	return 0, false
}

// Compatible says whether a and b may be held at once by different owners.
func Compatible(a, b Mode) bool { return compatible[a].Has(b) }

// CompatibleWithAll says whether m gets on with each mode of the set.
func CompatibleWithAll(m Mode, others Set) bool { return others&^compatible[m] == 0 }

// BlocksAll says whether a set lets no mode at all in.
func BlocksAll(others Set) bool {
	for m := range Mode(Last + 1) {
		if All.Has(m) && CompatibleWithAll(m, others) {
			return false
		}
	}
	return true
}

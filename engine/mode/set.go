package mode

// Set is a set of modes.
type Set uint8

// Of makes a set.
func Of(modes ...Mode) Set {
	var s Set
	for _, m := range modes {
		s |= 1 << m
	}
	return s
}

// Has says whether m is in the set.
func (s Set) Has(m Mode) bool { return s&(1<<m) != 0 }

// With returns the set with m.
func (s Set) With(m Mode) Set { return s | 1<<m }

// Counts counts possessions or requests by mode. A lock has at most 65,535.
type Counts [Last + 1]uint16

// Add counts one more of m.
func (c *Counts) Add(m Mode) { c[m]++ }

// Remove counts one less of m; there must be one.
func (c *Counts) Remove(m Mode) { c[m]-- }

// Set holds the modes that are counted at least once.
func (c *Counts) Set() Set {
	var s Set
	for m, n := range c {
		if n != 0 {
			s |= 1 << m
		}
	}
	return s
}

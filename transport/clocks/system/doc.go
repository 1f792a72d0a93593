// Package system reads the clocks of the machine; it decides nothing.
package system

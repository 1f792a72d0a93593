// Package wire translates between the engine's nouns and those of lockstep.v1. It
// decides nothing: what makes no sense is left for engine.Check to refuse.
package wire

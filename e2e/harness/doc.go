// Package harness runs clusters of real processes for tests: it starts, kills
// and stops nodes and clients, cuts their connections, and records who believed
// what when. It judges only what it recorded itself.
package harness

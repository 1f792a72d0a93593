// Package dev runs a whole cluster on this machine, for development: it decides
// on ports, configurations and certificates at the first start, and when a node
// that ended is started again. It refuses a data directory that is in use.
package dev

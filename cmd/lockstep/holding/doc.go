// Package holding runs a command for as long as this process believes in a
// grant. It decides when the command is told to stop and when it is killed, and
// refuses to let it outlive belief: the whole process group is dead before
// anybody else can be granted, as long as this process runs.
package holding

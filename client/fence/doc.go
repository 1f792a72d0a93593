// Package fence decides, at a resource that a lock protects, which writes come
// too late; it refuses to know the lock service, and so works where the resource
// is: in another process, machine or database.
//
// No lock service can keep a process from waking up after its lock has passed to
// somebody else, and finishing the write that it was about to do. Only the
// resource can refuse that write. Every grant carries a token, which rises with
// every grant, and a floor, the last token of an incompatible grant before it.
// Writers pass both; the guard remembers the highest floor that it has seen for
// each resource and refuses a write whose token is not above it: a floor is the
// token of the holder who must not write any more.
//
// # What is promised
//
//   - A write that the guard accepted has a token above every floor that the guard
//     had seen for the resource: once a holder has written, or installed
//     its floor, nobody who held an incompatible lock before it can write.
//   - Nothing is forgotten: the highest floor only rises, and it is stored before
//     the check says yes. A guard that loses its store loses its promise.
//   - Holders that are compatible do not shut each other out: two shared holders
//     with the tokens 5 and 6 have the same floor and may both write. (Refusing
//     everything below the highest token would be wrong for them.)
//
// # What is not promised
//
//   - Before a new holder's first write or [Guard.Install] the resource knows
//     nothing of it, and a late write of the holder before is accepted. Where that
//     matters, install the floor before the first read: the write barrier.
//   - The check and the write must be one atomic step, or a write may be overtaken
//     between them: use [Guard.Do], or a database transaction with [SQL].
//   - Tokens and floors are only as honest as the writer who passes them.
package fence

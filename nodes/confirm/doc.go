// Package confirm proves that this node was still leader after a request
// arrived, by asking the voters for their terms; it takes no answer to a question
// that was asked before.
package confirm

package raftwire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// The wire format. A frame is one message: a kind, then its fields; integers are
// uvarints unless said otherwise.
//
//	append       term prevIndex prevTerm commit count, then the entries:
//	             term, type (1 byte), length, data, length, extensions
//	appendReply  term lastLog flags (1 byte)
//	vote         term lastIndex lastTerm flags (1 byte)
//	voteReply    term granted (1 byte)
//	preVote      term lastIndex lastTerm
//	preVoteReply term granted (1 byte)
//	timeoutNow, timeoutNowReply
//	install      version term lastIndex lastTerm configurationIndex size length, configuration
//	installReply term success (1 byte)
//	failure      length, text
//
// Entries are contiguous: the first one's index is prevIndex+1. Who sent a
// message is not in it: it is the node that the stream belongs to.
type message byte

const (
	msgAppend          message = 1
	msgAppendReply     message = 2
	msgVote            message = 3
	msgVoteReply       message = 4
	msgPreVote         message = 5
	msgPreVoteReply    message = 6
	msgTimeoutNow      message = 7
	msgTimeoutNowReply message = 8
	msgInstall         message = 9
	msgInstallReply    message = 10
	msgFailure         message = 11
)

const (
	flagSuccess        = 1
	flagNoRetryBackoff = 2
	flagTransfer       = 1
)

// errGarbage is wrapped by everything that is wrong with a frame.
var errGarbage = errors.New("raftwire: garbage on a raft stream")

// cursor reads a frame; after the first error it returns zeroes.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{errGarbage}, args...)...)
		c.rest = nil
	}
}

func (c *cursor) uint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.fail("cut off or overlong integer")
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) byte() byte {
	if len(c.rest) == 0 {
		c.fail("cut off")
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

// flags reads a byte in which only bits of known may be set.
func (c *cursor) flags(known byte) byte {
	b := c.byte()
	if b&^known != 0 {
		c.fail("unknown flags %#x", b)
		return 0
	}
	return b
}

// bytes returns a part of the frame, nil if it is empty.
func (c *cursor) bytes() []byte {
	n := c.uint()
	if n > uint64(len(c.rest)) {
		c.fail("length %d, %d bytes left", n, len(c.rest))
		return nil
	}
	if n == 0 {
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

// end returns the error, if only that something is left.
func (c *cursor) end() error {
	if len(c.rest) > 0 {
		c.fail("%d bytes too many", len(c.rest))
	}
	return c.err
}

func bit(on bool, flag byte) byte {
	if on {
		return flag
	}
	return 0
}

func appendUints(dst []byte, values ...uint64) []byte {
	for _, v := range values {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func appendBytes(dst, data []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(data))), data...)
}

// header is the part of Raft's requests that tells who sent them. Raft takes what
// it finds there for an address; a node's id serves as its address within Raft,
// so that a vote is bound to the node and not to where it lives.
func header(node []byte) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: node, Addr: node}
}

// checkConfiguration refuses a configuration at which Raft would panic.
func checkConfiguration(data []byte) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%w: configuration: %v", errGarbage, reason)
		}
	}()
	raft.DecodeConfiguration(data)
	return nil
}

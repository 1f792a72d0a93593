package raftwire

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// encodeReply encodes what Raft answered. An answer of an unknown type is a bug.
func encodeReply(dst []byte, response raft.RPCResponse) []byte {
	if response.Error != nil {
		return encodeFailure(dst, response.Error)
	}
	switch r := response.Response.(type) {
	case *raft.AppendEntriesResponse:
		dst = appendUints(append(dst, byte(msgAppendReply)), r.Term, r.LastLog)
		return append(dst, bit(r.Success, flagSuccess)|bit(r.NoRetryBackoff, flagNoRetryBackoff))
	case *raft.RequestVoteResponse:
		return append(appendUints(append(dst, byte(msgVoteReply)), r.Term), bit(r.Granted, flagSuccess))
	case *raft.RequestPreVoteResponse:
		return append(appendUints(append(dst, byte(msgPreVoteReply)), r.Term), bit(r.Granted, flagSuccess))
	case *raft.TimeoutNowResponse:
		return append(dst, byte(msgTimeoutNowReply))
	case *raft.InstallSnapshotResponse:
		return append(appendUints(append(dst, byte(msgInstallReply)), r.Term), bit(r.Success, flagSuccess))
	default:
		panic(fmt.Sprintf("raftwire: Raft answered with a %T", r))
	}
}

func encodeFailure(dst []byte, err error) []byte {
	text := err.Error()
	return appendBytes(append(dst, byte(msgFailure)), []byte(text[:min(len(text), maxFailure)]))
}

// remoteError is an error that the other node answered with.
type remoteError struct{ text string }

// Error is the other node's text.
func (e *remoteError) Error() string { return "raftwire: the other node answered: " + e.text }

// reply returns a cursor behind the kind of a reply that must be of kind want.
func reply(frame []byte, want message) (cursor, error) {
	c := cursor{rest: frame}
	switch kind := message(c.byte()); {
	case c.err != nil:
		return c, c.err
	case kind == msgFailure:
		text := string(c.bytes())
		if err := c.end(); err != nil {
			return c, err
		}
		return c, &remoteError{text}
	case kind != want:
		return c, fmt.Errorf("%w: reply %d instead of %d", errGarbage, kind, want)
	}
	return c, nil
}

func decodeAppendReply(frame []byte, r *raft.AppendEntriesResponse) error {
	c, err := reply(frame, msgAppendReply)
	if err != nil {
		return err
	}
	r.Term, r.LastLog = c.uint(), c.uint()
	flags := c.flags(flagSuccess | flagNoRetryBackoff)
	r.Success, r.NoRetryBackoff = flags&flagSuccess != 0, flags&flagNoRetryBackoff != 0
	return c.end()
}

func decodeVoteReply(frame []byte, r *raft.RequestVoteResponse) error {
	c, err := reply(frame, msgVoteReply)
	if err != nil {
		return err
	}
	r.Term, r.Granted = c.uint(), c.flags(flagSuccess) != 0
	return c.end()
}

func decodePreVoteReply(frame []byte, r *raft.RequestPreVoteResponse) error {
	c, err := reply(frame, msgPreVoteReply)
	if err != nil {
		return err
	}
	r.Term, r.Granted = c.uint(), c.flags(flagSuccess) != 0
	return c.end()
}

func decodeTimeoutNowReply(frame []byte, _ *raft.TimeoutNowResponse) error {
	c, err := reply(frame, msgTimeoutNowReply)
	if err != nil {
		return err
	}
	return c.end()
}

func decodeInstallReply(frame []byte, r *raft.InstallSnapshotResponse) error {
	c, err := reply(frame, msgInstallReply)
	if err != nil {
		return err
	}
	r.Term, r.Success = c.uint(), c.flags(flagSuccess) != 0
	return c.end()
}

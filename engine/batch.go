package engine

import (
	"fmt"
)

// batchVersion is the first byte of every batch. A change of what follows needs a
// new number; old ones stay readable as long as logs may hold them.
const batchVersion = 1

// AppendBatch appends a batch's canonical bytes to dst and returns it. The batch
// has at most MaxBatchCommands, each of which Check accepts, and a time between 0
// and MaxLogTime.
func AppendBatch(dst []byte, b Batch) []byte {
	dst = append(dst, batchVersion)
	dst = appendUint(dst, uint64(b.Time))
	dst = appendUint(dst, uint64(len(b.Commands)))
	for _, c := range b.Commands {
		dst = append(dst, byte(c.Kind()))
		switch c := c.(type) {
		case *Acquire:
			dst = appendRequest(dst, &c.Request)
		case *Release:
			dst = appendRequest(dst, &c.Request)
		case *Cancel:
			dst = appendRequest(dst, &c.Request)
		case *Leave:
			dst = appendRequest(dst, &c.Request)
		case *EndSession:
			dst = appendRequest(dst, &c.Request)
		}
		dst = appendBody(dst, c)
	}
	return dst
}

func appendRequest(dst []byte, r *Request) []byte {
	dst = appendUint(dst, uint64(r.Session))
	dst = appendUint(dst, uint64(r.Incarnation))
	dst = appendUint(dst, r.Sequence)
	dst = appendUint(dst, r.AckedThrough)
	return appendPosition(dst, r.SeenThrough)
}

// appendBody appends what a command says beside its request header: what makes
// two requests of one sequence the same.
func appendBody(dst []byte, c Command) []byte {
	switch c := c.(type) {
	case *TakeOffice:
		dst = appendUint(dst, c.Term)
		return appendString(dst, c.Node)
	case *Tick:
		return appendUint(dst, c.Term)
	case *OpenSession:
		dst = append(dst, c.SecretHash[:]...)
		dst = appendInt(dst, int64(c.TTL))
		dst = appendInt(dst, int64(c.Grace))
		dst = appendString(dst, c.Principal)
		return appendString(dst, c.Label)
	case *TakeOver:
		dst = appendUint(dst, uint64(c.Session))
		dst = append(dst, c.SecretHash[:]...)
		dst = appendString(dst, c.Principal)
		return appendUint(dst, c.Nonce)
	case *Leave, *EndSession:
		return dst
	case *Silent:
		dst = appendUint(dst, c.Term)
		dst = appendUint(dst, uint64(c.Session))
		return appendInt(dst, int64(c.Observed))
	case *Alive:
		return appendUint(appendUint(dst, c.Term), uint64(c.Session))
	case *ExpireSession:
		return appendUint(appendUint(dst, c.Term), uint64(c.Session))
	case *Acquire:
		dst = appendUint(dst, uint64(c.Owner))
		dst = appendString(dst, c.Path)
		dst = append(dst, byte(c.Mode))
		dst = appendInt(dst, int64(c.Wait))
		dst = appendInt(dst, int64(c.Hold))
		return appendInt(dst, int64(c.Delay))
	case *Release:
		dst = appendUint(dst, uint64(c.Owner))
		dst = appendString(dst, c.Path)
		return appendUint(dst, uint64(c.Token))
	case *Cancel:
		return appendUint(dst, c.Target)
	default:
		bug("command %T is not of the closed set", c)
		return nil
	}
}

// minCommandBytes is what the shortest command takes: Tick.
const minCommandBytes = 2

// DecodeBatch reads what AppendBatch wrote. The result shares no memory with
// data. It returns ErrVersion for a version or a kind of command that this
// program does not know, and ErrCorrupt for bytes that AppendBatch never writes;
// after either the node must stop. Contents that make no sense are no error: Apply
// refuses them, on every replica alike.
func DecodeBatch(data []byte) (Batch, error) {
	r := reader{data: data}
	if version := r.byte(); !r.failed && version != batchVersion {
		return Batch{}, fmt.Errorf("%w: batch of version %d, this program knows %d", ErrVersion, version, batchVersion)
	}
	b := Batch{Time: r.logTime()}
	n := r.count(minCommandBytes)
	if n > MaxBatchCommands {
		r.fail()
		n = 0
	}
	b.Commands = make([]Command, 0, n)
	for i := range n {
		kind := CommandKind(r.byte())
		c := decodeCommand(&r, kind)
		if r.failed {
			break
		}
		if c == nil {
			return Batch{}, fmt.Errorf("%w: command %d of %d is of unknown kind %d", ErrVersion, i+1, n, kind)
		}
		b.Commands = append(b.Commands, c)
	}
	if !r.done() {
		return Batch{}, fmt.Errorf("%w: batch of %d bytes", ErrCorrupt, len(data))
	}
	return b, nil
}

func (r *reader) request() Request {
	return Request{
		Session:      SessionID(r.uint()),
		Incarnation:  r.uint32(),
		Sequence:     r.uint(),
		AckedThrough: r.uint(),
		SeenThrough:  r.position(),
	}
}

// decodeCommand returns nil for an unknown kind.
func decodeCommand(r *reader, kind CommandKind) Command {
	switch kind {
	case KindTakeOffice:
		return &TakeOffice{Term: r.uint(), Node: r.string()}
	case KindTick:
		return &Tick{Term: r.uint()}
	case KindOpenSession:
		return &OpenSession{
			SecretHash: r.hash(), TTL: r.duration(), Grace: r.duration(), Principal: r.string(), Label: r.string(),
		}
	case KindTakeOver:
		return &TakeOver{Session: SessionID(r.uint()), SecretHash: r.hash(), Principal: r.string(), Nonce: r.uint()}
	case KindLeave:
		return &Leave{r.request()}
	case KindEndSession:
		return &EndSession{r.request()}
	case KindSilent:
		return &Silent{Term: r.uint(), Session: SessionID(r.uint()), Observed: r.duration()}
	case KindAlive:
		return &Alive{Term: r.uint(), Session: SessionID(r.uint())}
	case KindExpireSession:
		return &ExpireSession{Term: r.uint(), Session: SessionID(r.uint())}
	case KindAcquire:
		return &Acquire{
			Request: r.request(), Owner: OwnerID(r.uint()), Path: r.string(), Mode: Mode(r.byte()),
			Wait: Waiting(r.duration()), Hold: r.duration(), Delay: r.duration(),
		}
	case KindRelease:
		return &Release{Request: r.request(), Owner: OwnerID(r.uint()), Path: r.string(), Token: Token(r.uint())}
	case KindCancel:
		return &Cancel{Request: r.request(), Target: r.uint()}
	default:
		return nil
	}
}

package simnet

import (
	"fmt"
	"time"

	"lockstep/transport"
)

// parcel is what travels: the unit that latency and partitions act on.
type parcel struct {
	due     time.Time
	kind    parcelKind
	stream  uint64
	purpose transport.Purpose
	data    []byte
	// size is how many bytes were consumed, for parcelCredit.
	size int
	// err is what the receiving side ends with, for parcelRefused and parcelClose.
	err error
}

type parcelKind uint8

const (
	// parcelConnect asks the listener for a connection.
	parcelConnect parcelKind = iota + 1
	// parcelAccepted answers that the connection stands.
	parcelAccepted
	// parcelRefused answers that it does not.
	parcelRefused
	// parcelOpen announces a stream.
	parcelOpen
	// parcelData carries bytes of a stream.
	parcelData
	// parcelFin ends the bytes of a stream.
	parcelFin
	// parcelCredit lets the writer of a stream send more.
	parcelCredit
	// parcelReset abandons a stream.
	parcelReset
	// parcelSlot lets the peer open one more stream.
	parcelSlot
	// parcelClose ends the connection.
	parcelClose
)

// receive takes a parcel at this side. The bytes in it are the sender's.
func (s *side) receive(p parcel) {
	if s.err != nil {
		return
	}
	switch p.kind {
	case parcelConnect:
		s.admit()
	case parcelAccepted:
		s.established = true
		s.watchSilence()
		s.changed.fire()
	case parcelRefused, parcelClose:
		s.finish(p.err)
	case parcelOpen:
		s.incoming = append(s.incoming, s.newStream(p.stream, p.purpose))
		s.changed.fire()
	case parcelSlot:
		s.slots++
		s.changed.fire()
	case parcelData, parcelFin, parcelCredit, parcelReset:
		if st, known := s.streams[p.stream]; known {
			st.receive(p)
		}
	}
}

// admit decides on a connection that arrived at the listening side.
func (s *side) admit() {
	h := s.net.hosts[s.host]
	address := s.host + ":" + s.remote.port
	l, listening := h.listeners[s.remote.port]
	switch {
	case !listening:
		s.refuse(fmt.Errorf("%w: %s: nobody listens", transport.ErrUnreachable, address))
	case s.net.hosts[s.remote.host].who.Stranger:
		s.refuse(fmt.Errorf("%w: %s: certificate of a stranger, %s", transport.ErrRefused, address, s.peer.Principal))
	case len(l.backlog) >= s.net.cfg.Backlog:
		s.refuse(fmt.Errorf("%w: %s: too many connections wait", transport.ErrRefused, address))
	default:
		s.established = true
		s.send(parcel{kind: parcelAccepted})
		if h.who.Stranger {
			return // the dialer will not have it, so nobody here may see it
		}
		l.backlog = append(l.backlog, s)
		l.changed.fire()
		s.watchSilence()
	}
}

func (s *side) refuse(err error) {
	s.send(parcel{kind: parcelRefused, err: err})
	s.finish(err)
}

package dev

import (
	"fmt"
	"net"
	"strconv"
)

// pick plans a new cluster of n nodes: the usual ports where they are free,
// others where not. All are held until all are picked, so that none is picked
// twice.
func pick(n int) (*Plan, error) {
	p := &Plan{Version: planVersion, Cluster: Cluster}
	var held []interface{ Close() error }
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for i := range n {
		udp, err := freeUDP(firstPort + i)
		if err != nil {
			return nil, err
		}
		held = append(held, udp)
		tcp, err := freeTCP(firstAdminPort + i)
		if err != nil {
			return nil, err
		}
		held = append(held, tcp)
		p.Members = append(p.Members, Member{Node: "n" + strconv.Itoa(i+1), Address: udp.LocalAddr().String(), Admin: tcp.Addr().String()})
	}
	return p, nil
}

func freeUDP(port int) (net.PacketConn, error) {
	conn, err := net.ListenPacket("udp", loopback(port))
	if err != nil {
		conn, err = net.ListenPacket("udp", loopback(0))
	}
	if err != nil {
		return nil, fmt.Errorf("no free UDP port on loopback: %w", err)
	}
	return conn, nil
}

func freeTCP(port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", loopback(port))
	if err != nil {
		listener, err = net.Listen("tcp", loopback(0))
	}
	if err != nil {
		return nil, fmt.Errorf("no free TCP port on loopback: %w", err)
	}
	return listener, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// taken names the node whose remembered port somebody else has, if any.
func (p *Plan) taken() error {
	for _, m := range p.Members {
		conn, err := net.ListenPacket("udp", m.Address)
		if err != nil {
			return fmt.Errorf("%w: UDP port %s of %s is in use, and the cluster remembers its addresses: end what has it (ss -ulpn shows it), or start a new cluster with another --data", ErrPlan, m.Address, m.Node)
		}
		conn.Close()
		listener, err := net.Listen("tcp", m.Admin)
		if err != nil {
			return fmt.Errorf("%w: TCP port %s of %s is in use: end what has it (ss -tlpn shows it), or change admin.listen in the configuration of %s and dev.json", ErrPlan, m.Admin, m.Node, m.Node)
		}
		listener.Close()
	}
	return nil
}

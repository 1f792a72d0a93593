package dev

import (
	"fmt"
	"io"
	"net"
	"strconv"
)

// Ports are where a new cluster looks for free ports, upwards.
type Ports struct {
	// UDP is the first port to try for nodes, TCP for their admin HTTP.
	UDP, TCP int
}

// UsualPorts are those that people expect.
func UsualPorts() Ports { return Ports{UDP: 7411, TCP: 7421} }

// maxTries is how many ports are tried for each socket. Ports are looked for
// upwards and not left to the system: those that it picks it may give to a
// client while the node is down.
const maxTries = 1000

// pick plans a new cluster of n nodes. All ports are held until all are picked,
// so that none is picked twice.
func pick(n int, from Ports) (*Plan, error) {
	p := &Plan{Version: planVersion, Cluster: Cluster}
	var held []io.Closer
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for i := range n {
		udp, err := freePort(&from.UDP, func(address string) (io.Closer, error) { return net.ListenPacket("udp", address) })
		if err != nil {
			return nil, err
		}
		held = append(held, udp)
		tcp, err := freePort(&from.TCP, func(address string) (io.Closer, error) { return net.Listen("tcp", address) })
		if err != nil {
			return nil, err
		}
		held = append(held, tcp)
		p.Members = append(p.Members, Member{Node: "n" + strconv.Itoa(i+1), Address: loopback(from.UDP), Admin: loopback(from.TCP)})
		from.UDP++
		from.TCP++
	}
	return p, nil
}

// freePort moves port to the next free one and holds it.
func freePort(port *int, listen func(address string) (io.Closer, error)) (io.Closer, error) {
	first := *port
	for {
		held, err := listen(loopback(*port))
		if err == nil {
			return held, nil
		}
		if *port++; *port-first >= maxTries {
			return nil, fmt.Errorf("no free port on loopback from %d on: %w", first, err)
		}
	}
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

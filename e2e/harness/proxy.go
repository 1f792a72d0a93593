//go:build unix

package harness

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Proxy relays UDP packets to one address, and can cut what goes through it: for
// a while the packets of a flow vanish in both directions.
type Proxy struct {
	front  net.PacketConn
	target *net.UDPAddr

	mu     sync.Mutex
	flows  map[string]*flow
	closed bool
	cuts   int
}

// flow is the way of one peer through the proxy.
type flow struct {
	upstream *net.UDPConn
	dark     time.Time
}

// StartProxy relays what arrives at address to target until the test ends.
func StartProxy(t testing.TB, address, target string) *Proxy {
	t.Helper()
	front, err := net.ListenPacket("udp", address)
	require.NoError(t, err)
	to, err := net.ResolveUDPAddr("udp", target)
	require.NoError(t, err)
	p := &Proxy{front: front, target: to, flows: map[string]*flow{}}
	go p.relay()
	t.Cleanup(p.close)
	return p
}

func (p *Proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.front.Close()
	for _, f := range p.flows {
		f.upstream.Close()
	}
}

func (p *Proxy) relay() {
	packet := make([]byte, 64<<10)
	for {
		n, from, err := p.front.ReadFrom(packet)
		if err != nil {
			return
		}
		if f := p.flow(from); f != nil && !p.isDark(f) {
			_, _ = f.upstream.Write(packet[:n])
		}
	}
}

func (p *Proxy) flow(from net.Addr) *flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flows[from.String()]; f != nil || p.closed {
		return f
	}
	upstream, err := net.DialUDP("udp", nil, p.target)
	if err != nil {
		return nil
	}
	f := &flow{upstream: upstream}
	p.flows[from.String()] = f
	go p.back(f, from)
	return f
}

// back relays the answers of a flow.
func (p *Proxy) back(f *flow, to net.Addr) {
	packet := make([]byte, 64<<10)
	for {
		n, err := f.upstream.Read(packet)
		if err != nil {
			// A node that is down refuses packets; that ends nothing.
			p.mu.Lock()
			closed := p.closed
			p.mu.Unlock()
			if closed {
				return
			}
			continue
		}
		if !p.isDark(f) {
			_, _ = p.front.WriteTo(packet[:n], to)
		}
	}
}

func (p *Proxy) isDark(f *flow) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(f.dark)
}

// Cut makes each flow that there is go dark for a time of its own, between
// shortest and longest.
func (p *Proxy) Cut(random *rand.Rand, shortest, longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, f := range p.flows {
		f.dark = now.Add(shortest + time.Duration(random.Int64N(int64(longest-shortest)+1)))
		p.cuts++
	}
}

// Cuts is how many flows were cut.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

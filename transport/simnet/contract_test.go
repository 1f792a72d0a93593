package simnet_test

import (
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"lockstep/transport/clocks"
	"lockstep/transport/simnet"
	"lockstep/transport/transporttest"
)

func TestContract(t *testing.T) {
	for _, c := range []struct {
		name    string
		latency time.Duration
		clock   clockwork.Clock
	}{
		{"without latency, fake clock", 0, clockwork.NewFakeClock()},
		{"with latency, real clock", 100 * time.Microsecond, clockwork.NewRealClock()},
	} {
		t.Run(c.name, func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T, settings transporttest.Settings) transporttest.World {
				return newWorld(settings, c.latency, c.clock)
			})
		})
	}
}

func newWorld(settings transporttest.Settings, latency time.Duration, clock clockwork.Clock) transporttest.World {
	cfg := simnet.DefaultConfig()
	cfg.Latency = latency
	cfg.IdleTimeout, cfg.HandshakeTimeout = 200*time.Millisecond, 300*time.Millisecond
	if settings.MaxStreams != 0 {
		cfg.MaxStreams = settings.MaxStreams
	}
	net := simnet.New(clocks.Clocks{Mono: clock}, cfg)
	elapse := func() {}
	if fake, ok := clock.(*clockwork.FakeClock); ok {
		elapse = func() { fake.Advance(10 * time.Millisecond) }
	}
	return transporttest.World{
		Server:          net.Host("server", simnet.AsNode(transporttest.ServerNode)),
		Client:          net.Host("client", simnet.AsClient(transporttest.ClientPrincipal)),
		Stranger:        net.Host("stranger", simnet.AsStranger("mallory")),
		ServerAddress:   "server:0",
		StrangerAddress: "stranger:0",
		Nowhere:         "server:9999",
		BadAddress:      "elsewhere",
		Clock:           clock,
		Elapse:          elapse,
		Silence:         func() { net.Partition("client", "server") },
		Resume:          func() { net.Heal("client", "server") },
	}
}

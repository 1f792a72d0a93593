package client

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/transport/simnet"
)

func (p *process) connected(t *testing.T) string {
	t.Helper()
	l := p.links[0]
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return ""
	}
	return l.conn.node()
}

func TestClientFindsTheLeader(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1", "n2", "n3")
		s.leader = "n3"
		c := s.connect(t, "c", func(c *Config) { c.Endpoints = []string{"n1:1"} })
		synctest.Wait()
		pass(time.Second)
		assert.Equal(t, "n3", c.connected(t))
		assert.Len(t, c.Members(), 3)
		assert.Equal(t, "test", c.Cluster())
	})
}

func TestClientFollowsTheLeader(t *testing.T) {
	for name, tell := range map[string]func(*service){
		"told by a problem": func(s *service) {
			s.intercept = func(*lockstepv1.ClientFrame) bool { return false }
			s.problem = &lockstepv1.Problem{Code: lockstepv1.Code_CODE_NO_LEADER, Leader: s.nodes[1]}
			mono.AfterFunc(100*time.Millisecond, func() { s.with(func() { s.problem = nil }) })
		},
		"found by asking": func(*service) {},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T) {
				s := newService(t, "n1", "n2")
				c := s.connect(t, "c")
				session := c.session(t)
				g := acquired(t, session.Lock("/a"))
				s.with(func() {
					s.leader = "n2"
					tell(s)
				})
				acquired(t, session.Lock("/b"))
				pass(15 * time.Second)
				assert.Equal(t, "n2", c.connected(t))
				assert.True(t, g.Held())
				s.exactlyOnce(t)
			})
		})
	}
}

func TestUnreachableLeaderIsReachedThroughAnotherNode(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1", "n2")
		c := s.connect(t, "c")
		session := c.session(t)
		g := acquired(t, session.Lock("/a"))
		ctx := g.Context()
		s.net.Partition("c", "n1")
		began := mono.Now()
		acquired(t, session.Lock("/b"))
		assert.Less(t, mono.Since(began), 5*time.Second)
		assert.Equal(t, "n2", c.connected(t))
		pass(20 * time.Second)
		assert.NoError(t, ctx.Err(), "belief never ended")
	})
}

func TestSilentNodeIsLeftForAnother(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1", "n2")
		c := s.connect(t, "c")
		session := c.session(t)
		g := acquired(t, session.Lock("/a"))
		// The process behind n1 is stopped: its host acknowledges, nobody answers.
		hung := true
		s.with(func() {
			s.intercept = func(*lockstepv1.ClientFrame) bool { return hung && c.connected(t) == "n1" }
			s.beat = func(*lockstepv1.HeartbeatRequest) bool { return !hung || c.connected(t) != "n1" }
		})
		acquired(t, session.Lock("/b"))
		assert.Equal(t, "n2", c.connected(t))
		assert.True(t, g.Held())
	})
}

func TestDeadEndpointsAreSkipped(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		s.net.Host("dead", simnet.AsNode("dead"))
		s.connect(t, "c", func(c *Config) { c.Endpoints = []string{"dead:1", "nowhere:1", "n1:1"} })
	})
}

func TestOpenFailsAtOnceWhereNothingHelps(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1", "n2")
		open := func(host string, who simnet.Identity, change func(*Config)) error {
			cfg := DefaultConfig("n1:1", "n2:1")
			change(&cfg)
			c, err := Open(t.Context(), cfg, Deps{
				Network: s.net.Host(host, who), Clocks: realClocks(), Rand: rand.New(rand.NewPCG(1, 2)),
			})
			if c != nil {
				c.Close()
			}
			return err
		}
		began := mono.Now()
		require.ErrorIs(t, open("c1", simnet.AsClient("c1"), func(c *Config) { c.Cluster = "other" }), ErrWrongCluster)
		require.ErrorIs(t, open("c2", simnet.AsStranger("c2"), func(*Config) {}), ErrNotPermitted)
		assert.Less(t, mono.Since(began), time.Second)
		err := open("c3", simnet.AsClient("c3"), func(c *Config) { c.Endpoints = []string{"nowhere:1"} })
		require.ErrorIs(t, err, ErrUnavailable)
		assert.ErrorContains(t, err, "nowhere:1")
	})
}

func TestConfigIsValidated(t *testing.T) {
	require.NoError(t, DefaultConfig("n1:1").Validate())
	for name, change := range map[string]func(*Config){
		"no endpoints":         func(c *Config) { c.Endpoints = nil },
		"an empty endpoint":    func(c *Config) { c.Endpoints = []string{""} },
		"no connections":       func(c *Config) { c.Connections = 0 },
		"many connections":     func(c *Config) { c.Connections = MaxConnections + 1 },
		"no dial timeout":      func(c *Config) { c.DialTimeout = 0 },
		"negative timeout":     func(c *Config) { c.RequestTimeout = -1 },
		"no silence timeout":   func(c *Config) { c.SilenceTimeout = 0 },
		"back-off upside down": func(c *Config) { c.BackoffMax = c.BackoffMin - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig("n1:1")
			change(&cfg)
			require.ErrorIs(t, cfg.Validate(), ErrInvalid)
			_, err := Open(t.Context(), cfg, Deps{})
			require.ErrorIs(t, err, ErrInvalid)
		})
	}
}

func TestSessionsShareConnections(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c", func(c *Config) { c.Connections = 4 })
		var sessions []*Session
		for range 64 {
			sessions = append(sessions, c.session(t))
		}
		assert.Equal(t, 4, s.net.Connections("c", "n1"))
		for _, l := range c.links {
			assert.Equal(t, 16, l.load())
		}
		bundles := 0
		s.with(func() {
			s.beat = func(r *lockstepv1.HeartbeatRequest) bool {
				bundles++
				assert.Len(t, r.GetHeartbeats(), 16)
				return true
			}
		})
		pass(10 * time.Second)
		assert.InDelta(t, 4*5, bundles, 4, "one bundle a connection and interval")
		for _, session := range sessions {
			assert.Equal(t, StateAlive, session.State())
		}
	})
}

// TestExactlyOnceThroughCuts lets many owners count under a lock while every
// connection is cut again and again, at moments that the seed chooses.
func TestExactlyOnceThroughCuts(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1", "n2")
		s.net.SetLatency("n1", "c", 3*time.Millisecond)
		s.net.SetLatency("c", "n1", 2*time.Millisecond)
		s.net.SetLatency("c", "n2", time.Millisecond)
		c := s.connect(t, "c", func(c *Config) { c.Connections = 2 })
		const workers, rounds = 12, 25
		var wg sync.WaitGroup
		inside, counted := 0, 0
		tokens := make(map[Token]bool)
		for range workers {
			session := c.session(t, TTL(time.Minute))
			wg.Go(func() {
				for range rounds {
					g, err := session.Lock("/counter").Acquire(t.Context())
					if !assert.NoError(t, err) {
						return
					}
					assert.True(t, g.Held())
					assert.False(t, tokens[g.Token()], "token %d was granted before", g.Token())
					tokens[g.Token()] = true
					inside++
					assert.Equal(t, 1, inside)
					<-mono.After(time.Millisecond)
					inside--
					counted++
					assert.NoError(t, g.Release(t.Context()))
				}
			})
		}
		stop := make(chan struct{})
		cutter := make(chan int)
		go func() {
			rng := rand.New(rand.NewPCG(11, 12))
			cuts := 0
			for {
				select {
				case <-stop:
					cutter <- cuts
					return
				case <-mono.After(time.Duration(rng.IntN(20)) * time.Millisecond):
					cuts += s.net.CutConnections("c", "n1") + s.net.CutConnections("c", "n2")
					if rng.IntN(4) == 0 {
						s.with(func() { s.leader = s.nodes[rng.IntN(2)].GetNode() })
					}
				}
			}
		}()
		wg.Wait()
		close(stop)
		assert.Greater(t, <-cutter, 50, "cuts")
		assert.Equal(t, workers*rounds, counted)
		assert.Zero(t, s.holders("/counter"))
		s.exactlyOnce(t)
	})
}

func TestStatusOfOneNode(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1", "n2")
		c := s.connect(t, "c")
		pass(time.Second) // until it has found the leader
		st, err := c.Status(t.Context(), "n2:1")
		require.NoError(t, err)
		assert.Equal(t, "n2", st.Node)
		assert.Equal(t, "n1", st.Leader.Node)
		st, err = c.Status(t.Context(), "")
		require.NoError(t, err)
		assert.Equal(t, "n1", st.Node)
		_, err = c.Status(t.Context(), "nowhere:1")
		require.ErrorIs(t, err, ErrUnavailable)
	})
}

func TestListingsGoOnPageByPage(t *testing.T) {
	run(t, func(t *testing.T) {
		s := newService(t, "n1")
		c := s.connect(t, "c")
		session := c.session(t)
		for i := range 25 {
			acquired(t, session.Lock("/"+string(rune('a'+i))))
		}
		var paths string
		var info ReadInfo
		for l, err := range c.ListLocks(t.Context(), "/", PageSize(7), Info(&info)) {
			require.NoError(t, err)
			require.Len(t, l.Holders, 1)
			paths += l.Path[1:]
		}
		assert.Equal(t, "abcdefghijklmnopqrstuvwxy", paths)
		assert.True(t, info.Linearizable)
		n := 0
		for range c.ListLocks(t.Context(), "/", Stale(time.Second)) {
			if n++; n == 3 {
				break
			}
		}
		assert.Equal(t, 3, n)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range c.ListLocks(ctx, "/") {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

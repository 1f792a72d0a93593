package raftwire_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lockstep/nodes/raftwire"
)

func TestElectionAndReplication(t *testing.T) {
	for _, size := range []int{1, 3, 5} {
		t.Run(fmt.Sprintf("%d nodes", size), func(t *testing.T) {
			inCluster(t, size, func(t *testing.T, c *cluster) {
				leader := c.leader()
				var last uint64
				for i := range 50 {
					response, index, err := leader.raft.Propose(fmt.Appendf(nil, "value %d", i)).Wait()
					require.NoError(t, err)
					require.Equal(t, fmt.Sprintf("applied value %d", i), response)
					require.Greater(t, index, last)
					last = index
				}
				c.agreed(last)
				for _, n := range c.up() {
					node, address := n.raft.Leader()
					require.Equal(t, leader.name, node)
					require.Equal(t, leader.name+":1", address)
					require.Len(t, n.raft.Voters(), size)
					require.Equal(t, 1, n.machine.state().Notes, "the first configuration is noted")
					require.Equal(t, leader.raft.Term(), n.raft.Term())
				}
				require.Equal(t, raftwire.Leader, leader.raft.Stats().State)
			})
		})
	}
}

func TestFollowersHearOfACommitSoon(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		pass(time.Second)
		_, index, err := leader.raft.Propose([]byte("x")).Wait()
		require.NoError(t, err)
		begun := mono.Now()
		c.agreed(index)
		require.Less(t, mono.Since(begun), 100*time.Millisecond)
	})
}

func TestLeaderLoss(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		for round := range 4 {
			kept := c.propose(fmt.Sprintf("kept %d", round))
			old := c.leader()
			begun := mono.Now()
			old.crash()
			c.leader()
			t.Logf("a new leader commits after %v", mono.Since(begun))
			require.Less(t, mono.Since(begun), 10*time.Second)
			last := c.propose(fmt.Sprintf("after %d", round))
			old.start()
			c.agreed(last)
			for _, n := range c.up() {
				require.True(t, n.machine.has(fmt.Sprintf("kept %d", round)), "%s lost %d", n.name, kept)
			}
		}
	})
}

func TestIsolatedLeaderAcknowledgesNothing(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		old := c.leader()
		c.isolate(old)
		lost := old.raft.Propose([]byte("lost"))
		_, _, err := lost.Wait()
		require.ErrorIs(t, err, raftwire.ErrUnknownOutcome)
		last := c.propose("kept")
		c.net.HealAll()
		last = max(last, c.propose("healed"))
		c.agreed(last)
		require.False(t, old.machine.has("lost"), "it was overwritten by the new leader's entries")
		require.True(t, old.machine.has("kept"))
	})
}

func TestMinorityHasNoLeader(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		c.propose("x")
		alone := c.leader()
		for _, n := range c.up() {
			if n != alone {
				n.crash()
			}
		}
		c.until("it steps down", func() bool { return !alone.raft.Leading() })
		pass(30 * time.Second)
		require.False(t, alone.raft.Leading())
		_, _, err := alone.raft.Propose([]byte("y")).Wait()
		require.ErrorIs(t, err, raftwire.ErrNotLeader)
		for _, n := range c.nodes {
			if n != alone {
				n.start()
			}
		}
		c.agreed(c.propose("z"))
	})
}

func TestEverybodyRestarts(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		for i := range 20 {
			c.propose(fmt.Sprint(i))
		}
		term := c.leader().raft.Term()
		for _, n := range c.up() {
			n.crash()
		}
		c.startAll()
		c.agreed(c.propose("again"))
		for _, n := range c.up() {
			for i := range 20 {
				require.True(t, n.machine.has(fmt.Sprint(i)))
			}
			require.Greater(t, n.raft.Term(), term)
		}
	})
}

func TestProposalsThatCannotBe(t *testing.T) {
	for name, run := range map[string]func(t *testing.T, c *cluster, leader, follower *node){
		"on a follower": func(t *testing.T, c *cluster, leader, follower *node) {
			t.Helper()
			p := follower.raft.Propose([]byte("x"))
			_, _, err := p.Wait()
			require.ErrorIs(t, err, raftwire.ErrNotLeader)
			<-p.Done()
		},
		"too large": func(t *testing.T, c *cluster, leader, follower *node) {
			t.Helper()
			_, _, err := leader.raft.Propose(make([]byte, raftwire.DefaultConfig().MaxEntry+1)).Wait()
			require.ErrorIs(t, err, raftwire.ErrTooLarge)
		},
		"the largest": func(t *testing.T, c *cluster, leader, follower *node) {
			t.Helper()
			_, index, err := leader.raft.Propose(make([]byte, raftwire.DefaultConfig().MaxEntry)).Wait()
			require.NoError(t, err)
			c.agreed(index)
		},
		"after the end": func(t *testing.T, c *cluster, leader, follower *node) {
			t.Helper()
			r := leader.raft
			leader.stop()
			_, _, err := r.Propose([]byte("x")).Wait()
			require.ErrorIs(t, err, raftwire.ErrNotLeader)
			require.ErrorIs(t, r.Snapshot(t.Context()), raftwire.ErrStopped)
			require.Equal(t, raftwire.Stopped, r.Stats().State)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 3, func(t *testing.T, c *cluster) {
				follower, leader := c.follower(), c.leader()
				run(t, c, leader, follower)
			})
		})
	}
}

func TestU10_ProposalTellsTheTermItGot(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		p := leader.raft.Propose([]byte("x"))
		_, index, err := p.Wait()
		require.NoError(t, err)
		require.Equal(t, leader.raft.Term(), p.Term())
		applied := leader.machine.state().Entries
		require.Equal(t, entry{index, p.Term(), "x"}, applied[len(applied)-1])
	})
}

func TestU11_PreVoteIsOn(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		alone, leader := c.follower(), c.leader()
		term := leader.raft.Term()
		c.isolate(alone)
		pass(time.Minute)
		require.Equal(t, term, alone.raft.Term(), "without pre-vote a lonely node raises its term at each election")
		c.net.HealAll()
		c.agreed(c.propose("x"))
		pass(10 * time.Second)
		require.Equal(t, term, leader.raft.Term())
		require.True(t, leader.raft.Leading(), "and would depose the leader when it comes back")
	})
}

func TestTransfer(t *testing.T) {
	for name, run := range map[string]func(t *testing.T, c *cluster, leader, follower *node){
		"to a named node": func(t *testing.T, c *cluster, leader, follower *node) {
			t.Helper()
			next := follower
			require.NoError(t, leader.raft.Transfer(t.Context(), next.name))
			c.until("it leads", next.raft.Leading)
			require.Equal(t, next, c.leader())
		},
		"to anybody": func(t *testing.T, c *cluster, leader, follower *node) {
			t.Helper()
			was := c.leader()
			require.NoError(t, was.raft.Transfer(t.Context(), ""))
			require.NotEqual(t, was, c.leader())
		},
		"to a stranger": func(t *testing.T, c *cluster, leader, follower *node) {
			t.Helper()
			require.ErrorContains(t, c.leader().raft.Transfer(t.Context(), "n9"), "n9 is no voter")
		},
		"by a follower": func(t *testing.T, c *cluster, leader, follower *node) {
			t.Helper()
			require.ErrorIs(t, c.follower().raft.Transfer(t.Context(), ""), raftwire.ErrNotLeader)
		},
		"to a node that is gone": func(t *testing.T, c *cluster, leader, follower *node) {
			t.Helper()
			was, gone := c.leader(), c.follower()
			gone.crash()
			require.Error(t, was.raft.Transfer(t.Context(), gone.name))
			c.until("proposals are accepted again", func() bool {
				_, _, err := c.leader().raft.Propose([]byte("x")).Wait()
				return err == nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 3, func(t *testing.T, c *cluster) {
				follower, leader := c.follower(), c.leader()
				run(t, c, leader, follower)
			})
		})
	}
}

func TestMembershipChanges(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		c.propose("before")
		fourth := c.add("n4")
		_, addresses := c.members()
		fourth.start()
		for _, n := range c.up() {
			n.peers.SetMembers(addresses)
		}
		leader := c.leader()
		require.NoError(t, leader.raft.AddNonvoter(t.Context(), "n4", "n4:1"))
		c.agreed(c.propose("with a learner"))
		require.Len(t, leader.raft.Voters(), 3)
		require.Len(t, leader.raft.Members(), 4)
		require.NoError(t, leader.raft.AddVoter(t.Context(), "n4", "n4:1"))
		require.Len(t, leader.raft.Voters(), 4)
		require.ErrorIs(t, c.follower().raft.AddVoter(t.Context(), "n5", "n5:1"), raftwire.ErrNotLeader)
		c.agreed(c.propose("with four"))
		require.True(t, fourth.machine.has("before"))

		require.NoError(t, leader.raft.Remove(t.Context(), leader.name))
		c.until("another one leads", func() bool { return !leader.raft.Leading() })
		require.NotEqual(t, leader, c.leader())
		require.Len(t, c.leader().raft.Voters(), 3)
	})
}

func TestCallsGiveUpWithTheirContext(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		leader := c.leader()
		for _, n := range c.up() {
			if n != leader {
				n.crash()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err := leader.raft.AddVoter(ctx, "n9", "n9:1")
		require.ErrorIs(t, err, raftwire.ErrUnknownOutcome)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestLeaderChangesAreHinted(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		follower, leader := c.follower(), c.leader()
		pass(time.Second)
		select {
		case <-follower.raft.LeaderChanges():
		default:
			require.FailNow(t, "the election was not hinted at")
		}
		leader.crash()
		<-follower.raft.LeaderChanges()
	})
}

func TestBootstrapOnlyOnce(t *testing.T) {
	inCluster(t, 1, func(t *testing.T, c *cluster) {
		servers, _ := c.members()
		require.ErrorIs(t, c.leader().raft.Bootstrap(servers), raftwire.ErrHasState)
	})
}

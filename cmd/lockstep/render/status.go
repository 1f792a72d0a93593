package render

import (
	"io"

	"lockstep/client"
)

// Node is one line of `lockstep status`: what the node says, or why it does not.
type Node struct {
	Node    string         `json:"node"`
	Address string         `json:"address"`
	Status  *client.Status `json:"status,omitempty"`
	Problem string         `json:"problem,omitempty"`
	// Lag is how many entries the node's state is behind the furthest one.
	Lag uint64 `json:"lag"`
}

// Cluster is the answer of `lockstep status`.
type Cluster struct {
	Cluster string `json:"cluster"`
	Lineage uint64 `json:"lineage"`
	// Quorum: a leader serves and a quorum answered it within the last seconds.
	Quorum bool   `json:"quorum"`
	Leader string `json:"leader,omitempty"`
	Nodes  []Node `json:"nodes"`
}

// NewCluster draws the picture of the cluster from what its nodes say.
func NewCluster(nodes []Node) Cluster {
	c := Cluster{Nodes: nodes}
	var furthest, term uint64
	for _, n := range nodes {
		if n.Status == nil {
			continue
		}
		furthest = max(furthest, n.Status.Position.Index)
		if c.Cluster == "" {
			c.Cluster, c.Lineage = n.Status.Cluster, n.Status.Lineage
		}
		// A deposed leader may not know it yet: the higher term counts.
		if n.Status.Serving && n.Status.Quorum && n.Status.Term >= term {
			c.Quorum, c.Leader, term = true, n.Node, n.Status.Term
		}
	}
	for i, n := range nodes {
		if n.Status != nil {
			nodes[i].Lag = furthest - n.Status.Position.Index
		}
	}
	return c
}

// WriteStatus shows the cluster.
func WriteStatus(w io.Writer, f Format, c Cluster) error {
	if f != Table {
		return document(w, f, c)
	}
	t := newTable("NODE", "ADDRESS", "ROLE", "TERM>", "POSITION>", "LAG>", "SNAPSHOT>", "UP>", "VERSION")
	var leader *client.Status
	answering := 0
	for _, n := range c.Nodes {
		s := n.Status
		if s == nil {
			t.add(n.Node, n.Address, "no answer", "", "", "", "", "", "")
			continue
		}
		answering++
		if n.Node == c.Leader {
			leader = s
		}
		t.add(n.Node, n.Address, s.Role, number(s.Term), s.Position.String(), number(n.Lag), number(s.SnapshotIndex), span(s.Uptime), s.Version)
	}
	if err := t.write(w); err != nil {
		return err
	}
	if err := say(w, "\n"); err != nil {
		return err
	}
	for _, n := range c.Nodes {
		if n.Problem != "" {
			if err := say(w, "%s: %s\n", n.Node, n.Problem); err != nil {
				return err
			}
		}
	}
	switch {
	case leader != nil:
		return say(w, "Cluster %s, lineage %d: %s leads and a quorum answers; %s, %s, %s, last token %v.\n",
			c.Cluster, c.Lineage, c.Leader, counted(leader.Sessions, "session"), counted(leader.Locks, "lock"),
			counted(leader.Waiters, "waiter"), leader.LastToken)
	case answering == 0:
		return say(w, "No node answers. Start the cluster, or say where it is with --endpoints or --data.\n")
	default:
		return say(w, "No quorum: %d of %d nodes answer and none of them leads. Locks can be neither taken nor given back;\nholders stop believing when their time runs out. Start enough nodes for a majority; nothing is lost.\n",
			answering, len(c.Nodes))
	}
}

func counted(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

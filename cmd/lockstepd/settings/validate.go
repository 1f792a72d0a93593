package settings

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"
)

// Bounds of options that are not bounded by what they configure.
const (
	// MaxMembers bounds a new cluster: more voters only slow each other down.
	MaxMembers = 9
	// MinTimeout is the shortest timeout that a disk's sync and a scheduling delay
	// leave any sense in.
	MinTimeout = 50 * time.Millisecond
	// MaxTimeout is the longest; a fail-over would take minutes.
	MaxTimeout = time.Minute
	// MaxStopTimeout bounds a clean shutdown.
	MaxStopTimeout = 5 * time.Minute
)

var name = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,58}$`)

// Validate lists everything that is wrong with the settings, each as a *ProblemError.
func (l *Loaded) Validate() error {
	c := checker{loaded: l}
	c.names()
	c.addresses()
	c.files()
	c.raft()
	c.check("disk.segment-size", l.Disk.SegmentSize >= 64<<10 && l.Disk.SegmentSize <= 1<<30, "%v is not within 64KiB to 1GiB", &l.Disk.SegmentSize)
	c.check("stop.timeout", l.Stop.Timeout > 0 && l.Stop.Timeout <= MaxStopTimeout, "%v is not within 0 to %v", l.Stop.Timeout, MaxStopTimeout)
	return errors.Join(c.problems...)
}

type checker struct {
	loaded   *Loaded
	problems []error
}

// check adds a problem with the option unless fine.
func (c *checker) check(key string, fine bool, format string, args ...any) {
	if fine {
		return
	}
	p := &ProblemError{Key: key, Detail: fmt.Sprintf(format, args...)}
	if line, ok := c.loaded.line[key]; ok {
		p.File, p.Line = c.loaded.File, line
	} else if origin, flag := c.loaded.origin[key]; flag {
		p.Key = origin
	}
	c.problems = append(c.problems, p)
}

func (c *checker) names() {
	l := c.loaded
	c.check("node", l.Node != "", "is missing: give this node an id such as n1")
	c.check("node", l.Node == "" || name.MatchString(l.Node), "%q is no id: small letters, digits and dashes, at most 59", l.Node)
	c.check("cluster", name.MatchString(l.Cluster), "%q is no name: small letters, digits and dashes, at most 59", l.Cluster)
}

func (c *checker) addresses() {
	l := c.loaded
	c.address("listen", l.Listen)
	if l.Advertise != "" {
		c.address("advertise", l.Advertise)
	}
	host, _, err := net.SplitHostPort(l.AdvertiseAddress())
	unspecified := err == nil && (host == "" || net.ParseIP(host) != nil && net.ParseIP(host).IsUnspecified())
	c.check("advertise", !unspecified, "nobody can reach %q: say under which address others reach this node", l.AdvertiseAddress())
	if l.Admin.Listen != "" {
		c.address("admin.listen", l.Admin.Listen)
		host, _, err := net.SplitHostPort(l.Admin.Listen)
		loopback := host == "localhost" || net.ParseIP(host) != nil && net.ParseIP(host).IsLoopback()
		c.check("admin.listen", err != nil || loopback, "%q is not on loopback: the admin HTTP has no authentication", l.Admin.Listen)
	}
	c.check("members", len(l.Members) > 0, "are missing: name all nodes of the new cluster, this one too")
	c.check("members", len(l.Members) <= MaxMembers, "%d members are more than %d", len(l.Members), MaxMembers)
	at := map[string]string{}
	for node, address := range l.Members {
		c.check("members", name.MatchString(node), "%q is no id: small letters, digits and dashes, at most 59", node)
		c.address("members", address)
		if other, twice := at[address]; twice {
			c.check("members", false, "%s and %s have the same address %s", min(node, other), max(node, other), address)
		}
		at[address] = node
	}
	if own, listed := l.Members[l.Node]; len(l.Members) > 0 && l.Node != "" {
		c.check("members", listed, "this node, %s, is not among them", l.Node)
		c.check("members", !listed || own == l.AdvertiseAddress(), "say %s for this node, but it is reached at %s", own, l.AdvertiseAddress())
	}
}

func (c *checker) address(key, address string) {
	_, port, err := net.SplitHostPort(address)
	c.check(key, err == nil && port != "", "%q is no address: write host:port", address)
	if err == nil && port != "" {
		n, err := net.LookupPort("udp", port)
		c.check(key, err == nil && n > 0, "%q has no usable port", address)
	}
}

func (c *checker) files() {
	l := c.loaded
	c.check("data", l.Data != "", "is missing: say in which directory this node keeps its data")
	for _, f := range []struct{ key, path, what string }{
		{"tls.ca", l.TLS.CA, "the authority's certificate"},
		{"tls.certificate", l.TLS.Certificate, "this node's certificate"},
		{"tls.key", l.TLS.Key, "this node's private key"},
	} {
		c.check(f.key, f.path != "", "is missing: name the PEM file of %s (`lockstepd certs` makes it)", f.what)
	}
}

func (c *checker) raft() {
	r := c.loaded.Raft
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"raft.heartbeat-timeout", r.HeartbeatTimeout},
		{"raft.election-timeout", r.ElectionTimeout},
		{"raft.leader-lease", r.LeaderLease},
	} {
		c.check(d.key, d.value >= MinTimeout && d.value <= MaxTimeout, "%v is not within %v to %v", d.value, MinTimeout, MaxTimeout)
	}
	c.check("raft.election-timeout", r.ElectionTimeout >= r.HeartbeatTimeout, "%v is shorter than raft.heartbeat-timeout, %v", r.ElectionTimeout, r.HeartbeatTimeout)
	c.check("raft.leader-lease", r.LeaderLease <= r.HeartbeatTimeout, "%v is longer than raft.heartbeat-timeout, %v", r.LeaderLease, r.HeartbeatTimeout)
	c.check("raft.commit-timeout", r.CommitTimeout >= time.Millisecond && r.CommitTimeout <= r.HeartbeatTimeout, "%v is not within 1ms to raft.heartbeat-timeout", r.CommitTimeout)
	c.check("raft.snapshot-threshold", r.SnapshotThreshold >= 1, "must be at least 1")
	c.check("raft.snapshot-interval", r.SnapshotInterval >= time.Second, "%v is shorter than 1s", r.SnapshotInterval)
	c.check("raft.trailing-logs", r.TrailingLogs >= 1, "must be at least 1")
	c.check("raft.write-deadline", r.WriteDeadline >= time.Second && r.WriteDeadline <= 10*time.Minute, "%v is not within 1s to 10m", r.WriteDeadline)
}

// Explain describes the effective configuration, one option a line, with where
// each value came from.
func (l *Loaded) Explain() string {
	var b strings.Builder
	for _, o := range options {
		value := o.value(&l.Settings).String()
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(&b, "%-24s %-32s # %s; %s\n", o.key+":", value, l.Origin(o.key), o.help)
	}
	return b.String()
}

// Reference is every option with its default and meaning, for documentation.
func Reference() string {
	var b strings.Builder
	b.WriteString("| key | flag | default | meaning |\n|---|---|---|---|\n")
	defaults := Default()
	for _, o := range options {
		value := o.value(&defaults).String()
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s |\n", o.key, o.flag(), value, o.help)
	}
	return b.String()
}

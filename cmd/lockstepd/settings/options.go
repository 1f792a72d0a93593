package settings

import "strings"

// option is one line of the configuration: its key in the file, from which the
// flag's name follows, and what it means.
type option struct {
	key  string
	help string
	// value reads and writes one field of Settings.
	value func(*Settings) Value
}

// options is every option there is, in the order in which they are explained.
var options = []option{
	{"node", "this node's id, unique in the cluster for ever; named in its certificate", func(s *Settings) Value { return (*text)(&s.Node) }},
	{"cluster", "name of the cluster; nodes and data directories of others are refused", func(s *Settings) Value { return (*text)(&s.Cluster) }},
	{"listen", "UDP address for nodes and clients", func(s *Settings) Value { return (*text)(&s.Listen) }},
	{"advertise", "address at which others reach this node; empty: the one of listen", func(s *Settings) Value { return (*text)(&s.Advertise) }},
	{"data", "directory of the log, the snapshots and the node's identity", func(s *Settings) Value { return (*text)(&s.Data) }},
	{"members", "nodes and addresses of a new cluster, the same on all; looked at only while the data directory is empty", func(s *Settings) Value { return (*members)(&s.Members) }},
	{"tls.ca", "PEM file of the cluster's authority", func(s *Settings) Value { return (*text)(&s.TLS.CA) }},
	{"tls.certificate", "PEM file of this node's certificate", func(s *Settings) Value { return (*text)(&s.TLS.Certificate) }},
	{"tls.key", "PEM file of this node's private key", func(s *Settings) Value { return (*text)(&s.TLS.Key) }},
	{"admin.listen", "TCP address of the admin HTTP, loopback only; empty: none", func(s *Settings) Value { return (*text)(&s.Admin.Listen) }},
	{"admin.pprof", "serve profiles under /debug/pprof/ of the admin HTTP", func(s *Settings) Value { return (*boolean)(&s.Admin.Pprof) }},
	{"log.level", "debug, info, warn or error", func(s *Settings) Value { return (*level)(&s.Log.Level) }},
	{"log.format", "text or json", func(s *Settings) Value { return &choice{&s.Log.Format, []string{FormatText, FormatJSON}} }},
	{"raft.heartbeat-timeout", "how long a follower is without a leader before it stands for election", func(s *Settings) Value { return (*duration)(&s.Raft.HeartbeatTimeout) }},
	{"raft.election-timeout", "how long a candidate waits for votes; at least the heartbeat timeout", func(s *Settings) Value { return (*duration)(&s.Raft.ElectionTimeout) }},
	{"raft.leader-lease", "how long a leader without a quorum goes on; at most the heartbeat timeout", func(s *Settings) Value { return (*duration)(&s.Raft.LeaderLease) }},
	{"raft.commit-timeout", "how long followers may hear of a commit later", func(s *Settings) Value { return (*duration)(&s.Raft.CommitTimeout) }},
	{"raft.snapshot-threshold", "entries since the last snapshot that make a new one worth while", func(s *Settings) Value { return (*count)(&s.Raft.SnapshotThreshold) }},
	{"raft.snapshot-interval", "how often that is looked at", func(s *Settings) Value { return (*duration)(&s.Raft.SnapshotInterval) }},
	{"raft.trailing-logs", "entries before a snapshot that are kept for followers a little behind", func(s *Settings) Value { return (*count)(&s.Raft.TrailingLogs) }},
	{"raft.write-deadline", "how long a write to the disk may take before the node halts", func(s *Settings) Value { return (*duration)(&s.Raft.WriteDeadline) }},
	{"disk.min-free", "free space that the file system must have at the start", func(s *Settings) Value { return &s.Disk.MinFree }},
	{"disk.segment-size", "size of a segment of the log", func(s *Settings) Value { return &s.Disk.SegmentSize }},
	{"stop.timeout", "how long a clean shutdown may take, leadership transfer included", func(s *Settings) Value { return (*duration)(&s.Stop.Timeout) }},
}

// flag is the option's name on the command line.
func (o option) flag() string { return strings.ReplaceAll(o.key, ".", "-") }

func find(key string) (option, bool) {
	for _, o := range options {
		if o.key == key {
			return o, true
		}
	}
	return option{}, false
}

// below lists what may stand directly in the group: names of options and groups.
func below(group string) []string {
	var names []string
	for _, o := range options {
		rest, ok := o.key, group == ""
		if !ok {
			rest, ok = strings.CutPrefix(o.key, group+".")
		}
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, ".")
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return names
}

// keys lists all full keys.
func keys() []string {
	all := make([]string, len(options))
	for i, o := range options {
		all[i] = o.key
	}
	return all
}

package settings

import (
	"log/slog"
	"time"
)

// Settings is the whole configuration of one node. The text of every field, with
// its unit and its meaning, is in the table of options.go.
type Settings struct {
	Node      string
	Cluster   string
	Listen    string
	Advertise string
	Data      string
	Members   map[string]string
	TLS       TLS
	Admin     Admin
	Log       Log
	Raft      Raft
	Disk      Disk
	Stop      Stop
}

// TLS names the PEM files of the mutual authentication.
type TLS struct {
	CA, Certificate, Key string
}

// Admin is the HTTP listener for health, status and profiles.
type Admin struct {
	Listen string
	Pprof  bool
}

// Log is how the node logs.
type Log struct {
	Level  slog.Level
	Format string
}

// Raft is how patient the node is with its peers, and how much log it keeps.
type Raft struct {
	HeartbeatTimeout  time.Duration
	ElectionTimeout   time.Duration
	LeaderLease       time.Duration
	CommitTimeout     time.Duration
	SnapshotThreshold uint64
	SnapshotInterval  time.Duration
	TrailingLogs      uint64
	WriteDeadline     time.Duration
}

// Disk is how the node uses its data directory.
type Disk struct {
	MinFree     Bytes
	SegmentSize Bytes
}

// Stop is how the node shuts down.
type Stop struct {
	Timeout time.Duration
}

// Log formats.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Default returns the settings that hold where neither file nor flag says
// anything. Node, Data, Members and the TLS files have no default.
func Default() Settings {
	return Settings{
		Cluster: "lockstep",
		Listen:  "127.0.0.1:7411",
		Admin:   Admin{Listen: "127.0.0.1:7421"},
		Log:     Log{Level: slog.LevelInfo, Format: FormatText},
		Raft: Raft{
			HeartbeatTimeout:  750 * time.Millisecond,
			ElectionTimeout:   750 * time.Millisecond,
			LeaderLease:       750 * time.Millisecond,
			CommitTimeout:     25 * time.Millisecond,
			SnapshotThreshold: 16384,
			SnapshotInterval:  30 * time.Second,
			TrailingLogs:      8192,
			WriteDeadline:     10 * time.Second,
		},
		Disk: Disk{MinFree: 256 << 20, SegmentSize: 16 << 20},
		Stop: Stop{Timeout: 10 * time.Second},
	}
}

// AdvertiseAddress is where other nodes and clients reach this one.
func (s *Settings) AdvertiseAddress() string {
	if s.Advertise != "" {
		return s.Advertise
	}
	return s.Listen
}

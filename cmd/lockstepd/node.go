//go:build unix

package main

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"syscall"
	"time"

	"lockstep/cmd/lockstepd/exits"
	"lockstep/cmd/lockstepd/settings"
	"lockstep/cmd/version"
	"lockstep/nodes"
	"lockstep/nodes/admin"
	"lockstep/nodes/disk"
	"lockstep/transport/clocks/system"
	"lockstep/transport/quic"
)

// adminTimeout bounds how long the admin HTTP reads a request's head.
const adminTimeout = 5 * time.Second

// runNode puts a node together from its settings and runs it until ctx ends.
func runNode(ctx context.Context, s *settings.Settings, logger *slog.Logger, stderr io.Writer) error {
	identity, err := newIdentity(s, logger)
	if err != nil {
		return err
	}
	defer identity.close()
	ports, err := listen(s)
	if err != nil {
		return err
	}
	defer ports.Close()
	directory, err := openDirectory(s, logger)
	if err != nil {
		return err
	}
	clocks := system.Clocks()
	network, err := quic.New(quic.DefaultConfig(), quic.Deps{
		Credentials: identity.current, Sockets: ports.sockets, Logger: logger,
	})
	if err != nil {
		return errors.Join(err, directory.Close())
	}
	cfg := nodeConfig(s)
	cfg.Lineage = directory.Identity().Lineage
	node, err := nodes.New(cfg, nodes.Deps{
		Network: network, Stores: directory.Stores(), Clocks: clocks, Rand: seeded(), Logger: logger,
		Halt: func(reason string) {
			halt(stderr, s.Node, reason, haltCode(reason, free(directory), s.Disk.SegmentSize))
		},
	})
	if err != nil {
		return errors.Join(&codedError{exits.Config, err}, network.Close(), directory.Close())
	}
	if ports.admin != nil {
		server := &http.Server{Handler: adminHandler(node, s.Admin.Pprof), ReadHeaderTimeout: adminTimeout}
		go func() { _ = server.Serve(ports.admin) }()
		defer server.Close()
	}
	err = node.Run(ctx)
	return errors.Join(err, network.Close(), directory.Close())
}

// nodeConfig is what the settings mean to the node.
func nodeConfig(s *settings.Settings) nodes.Config {
	cfg := nodes.DefaultConfig()
	cfg.Node, cfg.Cluster, cfg.Version = s.Node, s.Cluster, version.Agent("lockstepd")
	cfg.Listen, cfg.Address, cfg.Members = s.Listen, s.AdvertiseAddress(), s.Members
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLease = s.Raft.HeartbeatTimeout, s.Raft.ElectionTimeout, s.Raft.LeaderLease
	cfg.CommitTimeout = s.Raft.CommitTimeout
	cfg.SnapshotThreshold, cfg.SnapshotInterval, cfg.TrailingLogs = s.Raft.SnapshotThreshold, s.Raft.SnapshotInterval, s.Raft.TrailingLogs
	cfg.WriteDeadline = s.Raft.WriteDeadline
	cfg.StopTimeout = s.Stop.Timeout
	return cfg
}

func openDirectory(s *settings.Settings, logger *slog.Logger) (*disk.Directory, error) {
	cfg := disk.DefaultConfig()
	cfg.Directory = s.Data
	cfg.Identity = disk.Identity{Cluster: s.Cluster, Node: s.Node} // whichever lineage the directory has
	cfg.MinFree, cfg.SegmentSize = uint64(s.Disk.MinFree), int(s.Disk.SegmentSize)
	directory, err := disk.Open(cfg, logger)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", s.Data, err)
	}
	return directory, nil
}

// ports are the sockets that a node takes before it touches anything else: that
// another process has them must not be found out half-way.
type ports struct {
	address string
	udp     net.PacketConn
	admin   net.Listener
}

func listen(s *settings.Settings) (*ports, error) {
	p := &ports{address: s.Listen}
	var err error
	if p.udp, err = quic.UDP(s.Listen); err != nil {
		return nil, portError("listen", s.Listen, err)
	}
	if s.Admin.Listen != "" {
		if p.admin, err = net.Listen("tcp", s.Admin.Listen); err != nil {
			p.Close()
			return nil, portError("admin.listen", s.Admin.Listen, err)
		}
	}
	return p, nil
}

func portError(key, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return coded(exits.Busy, "%s: %s is in use by another process: end it, or choose another address (`ss -ulpn` and `ss -tlpn` show who has it)", key, address)
	}
	return coded(exits.Config, "%s: cannot listen on %s: %w", key, address, err)
}

// sockets hands the socket that is open already to the network.
func (p *ports) sockets(address string) (net.PacketConn, error) {
	if address == p.address && p.udp != nil {
		socket := p.udp
		p.udp = nil
		return socket, nil
	}
	return quic.UDP(address)
}

// Close closes what nobody took over.
func (p *ports) Close() {
	if p.udp != nil {
		p.udp.Close()
	}
	if p.admin != nil {
		p.admin.Close()
	}
}

// halt ends the process at once: going on would break a promise.
func halt(stderr io.Writer, node, reason string, code exits.Code) {
	fmt.Fprintf(stderr, "lockstepd: %s has halted: %s\nlockstepd: %s\n", node, reason, advice(code))
	os.Exit(int(code))
}

// free is how much room the node's disk has left.
func free(d *disk.Directory) settings.Bytes {
	bytes, err := d.Free()
	if err != nil {
		return settings.Bytes(math.MaxUint64) // nothing to conclude from
	}
	return settings.Bytes(bytes)
}

// haltCode tells the disk's fault from everything else. The log takes a whole
// segment's room at once, and what it says when there is none does not name the
// reason: so the room that is left decides.
func haltCode(reason string, free, segment settings.Bytes) exits.Code {
	switch {
	case strings.Contains(reason, syscall.ENOSPC.Error()), strings.Contains(reason, syscall.EDQUOT.Error()), free < segment:
		return exits.DiskFull
	case strings.Contains(reason, " store"), strings.Contains(reason, "disk"):
		return exits.Disk
	default:
		return exits.Halted
	}
}

func advice(code exits.Code) string {
	switch code { //nolint:exhaustive // the other codes are no halts
	case exits.DiskFull:
		return "make room on the disk, then start the node again; nothing acknowledged is lost"
	case exits.Disk:
		return "see to the disk before starting the node again (docs/operations.md); the other nodes have everything that was acknowledged"
	default:
		return "start the node again; nothing acknowledged is lost"
	}
}

// adminHandler serves the node's answers, and profiles if wanted.
func adminHandler(node *nodes.Node, profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", admin.Handler(node))
	if profiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// seeded is a generator that nobody can guess.
func seeded() *rand.Rand {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // it never fails: it ends the program instead
	return rand.New(rand.NewChaCha8(seed))
}

package client

import "time"

const (
	// ProtocolVersion is what this client speaks.
	ProtocolVersion = 1
	// MaxOutstanding is how many mutating requests of one session may be unanswered;
	// further ones wait for their turn. The service keeps as many answers.
	MaxOutstanding = 64
	// HeartbeatsPerTTL: a session sends a heartbeat every TTL/HeartbeatsPerTTL.
	HeartbeatsPerTTL = 5
	// MaxHeartbeatsPerBundle bounds one heartbeat frame; more sessions send more
	// frames.
	MaxHeartbeatsPerBundle = 1024
	// MaxBundlesInFlight bounds how many unanswered bundles a connection remembers;
	// the oldest is forgotten, as if it had been lost.
	MaxBundlesInFlight = 32
	// MaxHeldBackPushes bounds the events that are held back while a session's
	// state is fetched; past it they are dropped and the state is fetched again.
	MaxHeldBackPushes = 1024
	// MaxWatchBuffer is how many events wait for a slow consumer of one watch. Past
	// it the watch is stopped on the wire and resumed once the consumer has caught
	// up, so that it slows nobody else down.
	MaxWatchBuffer = 4096
	// MaxSessionEvents is how many state changes wait for a slow reader of
	// Session.Events; the oldest go first.
	MaxSessionEvents = 16
	// MaxConnections bounds Config.Connections.
	MaxConnections = 64
	// MaxText bounds paths and labels before the service's own, narrower bounds, so
	// that no request exceeds what a node accepts as a frame.
	MaxText = 4096
	// MaxPageSize bounds how many items a listing fetches at a time.
	MaxPageSize = 10_000
	// DefaultPageSize is how many items a listing fetches at a time.
	DefaultPageSize = 1_000
	// FirstAutomaticOwner is the smallest owner id that the client gives to lock
	// handles by itself; ids below it are the application's to choose.
	FirstAutomaticOwner OwnerID = 1 << 32
)

const (
	// sweepInterval is how often the deadlines of unanswered requests are looked at.
	sweepInterval = 250 * time.Millisecond
	// leaderCheckInterval is how often a connection asks who leads.
	leaderCheckInterval = 10 * time.Second
	// hedgeDelay is how long a dial may take before the next endpoint is tried
	// beside it.
	hedgeDelay = 300 * time.Millisecond
	// cancelPatience is how long an acquire whose context ended waits for the answer
	// to its withdrawal before it returns with an unknown outcome.
	cancelPatience = time.Second
	// statusPatience is how long a single node may take to tell about itself; it
	// asks a quorum meanwhile.
	statusPatience = 5 * time.Second
)

package raftwire

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jonboulle/clockwork"
)

var _ hclog.Logger = (*raftLogger)(nil)

// raftLogger writes Raft's log lines to slog, each a level lower than Raft would,
// since most of what it calls a warning or an error is the daily life of a
// cluster, and equal ones only now and then.
type raftLogger struct {
	// The parts of hclog's interface that Raft does not use.
	hclog.Logger
	to     *slog.Logger
	repeat *repeatedLines
}

// repeatedLines knows when each line was last written.
type repeatedLines struct {
	clock clockwork.Clock
	mu    sync.Mutex
	last  map[string]time.Time
}

// NewLogger returns a logger for hashicorp's libraries that writes to l.
func NewLogger(l *slog.Logger, clock clockwork.Clock) hclog.Logger {
	return &raftLogger{
		Logger: hclog.NewNullLogger(),
		to:     l,
		repeat: &repeatedLines{clock: clock, last: make(map[string]time.Time)},
	}
}

// due tells whether the line may be written again. The texts are literals in the
// library, so there are few of them.
func (r *repeatedLines) due(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	if last, ok := r.last[text]; ok && now.Sub(last) < logPause {
		return false
	}
	r.last[text] = now
	return true
}

// Trace drops the line.
func (l *raftLogger) Trace(string, ...any) {}

// Debug drops the line.
func (l *raftLogger) Debug(string, ...any) {}

// Info writes a line for debugging.
func (l *raftLogger) Info(text string, args ...any) {
	if l.to.Enabled(nil, slog.LevelDebug) { //nolint:staticcheck // handlers take a nil context
		l.to.Debug(text, plain(args)...)
	}
}

// Warn writes a line for debugging.
func (l *raftLogger) Warn(text string, args ...any) { l.Info(text, args...) }

// Error writes a warning, unless the same was written a moment ago.
func (l *raftLogger) Error(text string, args ...any) {
	if l.repeat.due(text) {
		l.to.Warn(text, plain(args)...)
	}
}

// Log writes at a level of hclog.
func (l *raftLogger) Log(level hclog.Level, text string, args ...any) {
	switch level {
	case hclog.Error:
		l.Error(text, args...)
	case hclog.Info, hclog.Warn:
		l.Info(text, args...)
	case hclog.NoLevel, hclog.Trace, hclog.Debug, hclog.Off:
	}
}

// With returns a logger with more attributes.
func (l *raftLogger) With(args ...any) hclog.Logger {
	return &raftLogger{Logger: l.Logger, to: l.to.With(plain(args)...), repeat: l.repeat}
}

// Named returns the logger itself: slog's attributes say where lines come from.
func (l *raftLogger) Named(string) hclog.Logger { return l }

// ResetNamed returns the logger itself.
func (l *raftLogger) ResetNamed(string) hclog.Logger { return l }

// StandardLogger drops what is written to it.
func (l *raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(io.Discard, "", 0)
}

// plain turns hclog's lazy values into text.
func plain(args []any) []any {
	for i, arg := range args {
		if f, ok := arg.(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	return args
}

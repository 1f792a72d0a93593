package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/cmd/suggest"
)

// Value is one option's value as text. It has the methods that a flag needs.
type Value interface {
	// Set parses what stands in the file or behind the flag.
	Set(string) error
	// String prints what Set would read.
	String() string
	// Type is what kind of text it is, for the help.
	Type() string
}

type text string

func (v *text) Set(s string) error { *v = text(s); return nil }
func (v *text) String() string     { return string(*v) }
func (v *text) Type() string       { return "string" }

type boolean bool

func (v *boolean) Set(s string) error {
	switch s {
	case "true":
		*v = true
	case "false":
		*v = false
	default:
		return fmt.Errorf("%q is neither true nor false", s)
	}
	return nil
}
func (v *boolean) String() string   { return strconv.FormatBool(bool(*v)) }
func (v *boolean) Type() string     { return "bool" }
func (v *boolean) IsBoolFlag() bool { return true }

type duration time.Duration

func (v *duration) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		if _, bare := strconv.ParseFloat(s, 64); bare == nil {
			return fmt.Errorf("%q has no unit: write %sms or %ss", s, s, s)
		}
		return fmt.Errorf("%q is no duration: write it like 750ms, 10s or 1h30m", s)
	}
	*v = duration(d)
	return nil
}
func (v *duration) String() string { return time.Duration(*v).String() }
func (v *duration) Type() string   { return "duration" }

type count uint64

func (v *count) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no whole number from 0", s)
	}
	*v = count(n)
	return nil
}
func (v *count) String() string { return strconv.FormatUint(uint64(*v), 10) }
func (v *count) Type() string   { return "count" }

// Bytes is an amount of storage.
type Bytes uint64

var units = []struct {
	name string
	size uint64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// Set reads a whole number with one of the units B, KiB, MiB and GiB.
func (v *Bytes) Set(s string) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
		if err != nil || n > 1<<62/u.size {
			break
		}
		*v = Bytes(n * u.size)
		return nil
	}
	return fmt.Errorf("%q is no size: write it like 16MiB or 1GiB", s)
}

// String prints the largest unit that leaves a whole number.
func (v *Bytes) String() string {
	for _, u := range units {
		if n := uint64(*v); n >= u.size && n%u.size == 0 {
			return strconv.FormatUint(n/u.size, 10) + u.name
		}
	}
	return "0B"
}

// Type implements Value.
func (v *Bytes) Type() string { return "size" }

type level slog.Level

func (v *level) Set(s string) error {
	levels := []string{"debug", "info", "warn", "error"}
	if !slices.Contains(levels, s) {
		return fmt.Errorf("%q is none of %s%s", s, strings.Join(levels, ", "), suggest.Ask(s, levels))
	}
	return (*slog.Level)(v).UnmarshalText([]byte(s))
}
func (v *level) String() string { return strings.ToLower(slog.Level(*v).String()) }
func (v *level) Type() string   { return "level" }

type choice struct {
	field *string
	of    []string
}

func (v *choice) Set(s string) error {
	if !slices.Contains(v.of, s) {
		return fmt.Errorf("%q is none of %s%s", s, strings.Join(v.of, ", "), suggest.Ask(s, v.of))
	}
	*v.field = s
	return nil
}
func (v *choice) String() string { return *v.field }
func (v *choice) Type() string   { return strings.Join(v.of, "|") }

type members map[string]string

func (v *members) Set(s string) error {
	read := make(map[string]string)
	for part := range strings.SplitSeq(s, ",") {
		node, address, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || node == "" || address == "" {
			return errors.New("members are written n1=host:port,n2=host:port")
		}
		if _, twice := read[node]; twice {
			return fmt.Errorf("node %q is named twice", node)
		}
		read[node] = address
	}
	*v = read
	return nil
}

func (v *members) String() string {
	var parts []string
	for _, node := range slices.Sorted(maps.Keys(*v)) {
		parts = append(parts, node+"="+(*v)[node])
	}
	return strings.Join(parts, ",")
}
func (v *members) Type() string { return "n1=host:port,..." }

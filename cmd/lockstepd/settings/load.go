package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"lockstep/cmd/suggest"
)

// maxFile bounds a configuration file: nobody writes a longer one on purpose.
const maxFile = 1 << 20

// Loaded is a configuration and where each part of it came from.
type Loaded struct {
	Settings
	// File is the configuration file; empty: none.
	File string
	// origin tells for each key that was set where; see Origin.
	origin map[string]string
	line   map[string]int
}

// New returns the defaults.
func New() *Loaded {
	return &Loaded{Settings: Default(), origin: map[string]string{}, line: map[string]int{}}
}

// ReadFile reads the file over what is set so far, and lists everything that is
// wrong with it. Relative paths in a file are relative to the file.
func (l *Loaded) ReadFile(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("%w: cannot read the configuration file: %w", ErrSettings, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return fmt.Errorf("%w: cannot read the configuration file: %w", ErrSettings, err)
	}
	if len(data) > maxFile {
		return fmt.Errorf("%w: %s is larger than 1 MiB: is it a configuration file?", ErrSettings, name)
	}
	l.File = name
	return l.read(data)
}

func (l *Loaded) read(data []byte) error {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // an empty file sets nothing
		}
		return fmt.Errorf("%w: %s is not YAML: %s", ErrSettings, l.File, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s holds more than one document: one file configures one node", ErrSettings, l.File)
	}
	if document.Kind == yaml.DocumentNode && len(document.Content) == 1 {
		return l.group("", document.Content[0])
	}
	return nil
}

// group reads a mapping of options and groups; it goes on after a problem, so
// that one start shows all of them.
func (l *Loaded) group(prefix string, node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		if node.Tag == "!!null" {
			return nil // a group whose options are all commented out
		}
		return l.problem(node, strings.TrimSuffix(prefix, "."), "options are written as `name: value`")
	}
	var problems []error
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		key := prefix + name.Value
		if first, twice := seen[key]; twice {
			problems = append(problems, l.problem(name, key, fmt.Sprintf("is set twice, first in line %d", first)))
			continue
		}
		seen[key] = name.Line
		switch o, known := find(key); {
		case known:
			if err := l.set(o, name, value); err != nil {
				problems = append(problems, err)
			}
		case len(below(key)) > 0:
			if err := l.group(key+".", value); err != nil {
				problems = append(problems, err)
			}
		default:
			problems = append(problems, l.unknown(prefix, name))
		}
	}
	return errors.Join(problems...)
}

// unknown names the key and what was probably meant: an option of this group
// first, then one of any group.
func (l *Loaded) unknown(prefix string, name *yaml.Node) error {
	group := strings.TrimSuffix(prefix, ".")
	here := below(group)
	// Underscores are how other programs write the same names.
	if near, ok := suggest.Near(strings.ReplaceAll(name.Value, "_", "-"), here); ok {
		return l.problem(name, prefix+name.Value, fmt.Sprintf("no such option (did you mean %q?)", prefix+near))
	}
	for _, o := range options {
		if _, last, ok := strings.Cut(o.key, "."); ok && last == name.Value {
			return l.problem(name, prefix+name.Value, fmt.Sprintf("no such option here (did you mean %q?)", o.key))
		}
	}
	return l.problem(name, prefix+name.Value, fmt.Sprintf("no such option%s; there are: %s",
		suggest.Ask(prefix+name.Value, keys()), strings.Join(here, ", ")))
}

func (l *Loaded) set(o option, name, value *yaml.Node) error {
	written := value.Value
	if _, isMembers := o.value(&l.Settings).(*members); isMembers && value.Kind == yaml.MappingNode {
		var err error
		if written, err = l.flatten(o.key, value); err != nil {
			return err
		}
	} else if value.Kind != yaml.ScalarNode {
		return l.problem(value, o.key, "wants one value")
	}
	if value.Tag == "!!null" {
		return l.problem(value, o.key, "has no value: remove the line to use the default")
	}
	if err := o.value(&l.Settings).Set(written); err != nil {
		return l.problem(value, o.key, err.Error())
	}
	if path, ok := l.pathOption(o.key); ok && *path != "" && !filepath.IsAbs(*path) {
		*path = filepath.Join(filepath.Dir(l.File), *path)
	}
	l.line[o.key] = name.Line
	l.origin[o.key] = fmt.Sprintf("%s:%d", l.File, name.Line)
	return nil
}

// pathOption is the field of an option that names a file or a directory.
func (l *Loaded) pathOption(key string) (*string, bool) {
	switch key {
	case "data":
		return &l.Data, true
	case "tls.ca":
		return &l.TLS.CA, true
	case "tls.certificate":
		return &l.TLS.Certificate, true
	case "tls.key":
		return &l.TLS.Key, true
	}
	return nil, false
}

// flatten turns the mapping of members into the text that a flag would have.
func (l *Loaded) flatten(key string, node *yaml.Node) (string, error) {
	var parts []string
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, address := node.Content[i], node.Content[i+1]
		if name.Kind != yaml.ScalarNode || address.Kind != yaml.ScalarNode {
			return "", l.problem(name, key, "members are written as `node: host:port`")
		}
		parts = append(parts, name.Value+"="+address.Value)
	}
	return strings.Join(parts, ","), nil
}

func (l *Loaded) problem(at *yaml.Node, key, detail string) error {
	return &ProblemError{File: l.File, Line: at.Line, Key: key, Detail: detail}
}

// Flags calls add for each option, with the name, the value and the help of its
// flag. Set is to be called after flags were parsed.
func (l *Loaded) Flags(add func(name string, value Value, help string)) {
	for _, o := range options {
		add(o.flag(), o.value(&l.Settings), o.help)
	}
}

// SetFlag sets the option of a flag that was given, over the file.
func (l *Loaded) SetFlag(name, written string) error {
	for _, o := range options {
		if o.flag() != name {
			continue
		}
		if err := o.value(&l.Settings).Set(written); err != nil {
			return &ProblemError{Key: "--" + name, Detail: err.Error()}
		}
		l.origin[o.key] = "--" + name
		delete(l.line, o.key)
	}
	return nil
}

// Origin says where the option's value came from: "default", "FILE:LINE" or the
// flag.
func (l *Loaded) Origin(key string) string {
	if origin, ok := l.origin[key]; ok {
		return origin
	}
	return "default"
}

// FlagNames lists the names of all flags.
func FlagNames() []string {
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = o.flag()
	}
	return names
}

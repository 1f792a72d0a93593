package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"

	"lockstep/cmd/suggest"
)

// Format is how output is written.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// Formats lists what ParseFormat accepts.
func Formats() []string { return []string{string(Table), string(JSON), string(YAML)} }

// ParseFormat is the inverse of Format's text.
func ParseFormat(s string) (Format, error) {
	for _, f := range Formats() {
		if s == f {
			return Format(s), nil
		}
	}
	return "", fmt.Errorf("no such output format: %q%s; there are: %s", s, suggest.Ask(s, Formats()), strings.Join(Formats(), ", "))
}

// document writes v as indented JSON, or as the same in YAML.
func document(w io.Writer, f Format, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if f == YAML {
		if data, err = toYAML(data); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// line writes v as one line of JSON, or as a YAML document of its own.
func line(w io.Writer, f Format, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if f == YAML {
		if data, err = toYAML(data); err != nil {
			return err
		}
		data = append([]byte("---\n"), data...)
	} else {
		data = append(data, '\n')
	}
	_, err = w.Write(data)
	return err
}

// toYAML keeps the names and the order that the JSON has.
func toYAML(data []byte) ([]byte, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		return nil, err
	}
	block(&node)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return nil, err
	}
	return b.Bytes(), encoder.Close()
}

// block turns JSON's braces and quotes into plain YAML, but for strings that
// would read as something else: tokens stay strings.
func block(node *yaml.Node) {
	if len(node.Content) > 0 {
		node.Style = 0
	}
	var plain any
	if node.Kind == yaml.ScalarNode && node.Tag == "!!str" && yaml.Unmarshal([]byte(node.Value), &plain) == nil {
		if _, still := plain.(string); still {
			node.Style = 0
		}
	}
	for _, child := range node.Content {
		block(child)
	}
}

// Document writes v as one JSON or YAML document.
func Document(w io.Writer, f Format, v any) error { return document(w, f, v) }

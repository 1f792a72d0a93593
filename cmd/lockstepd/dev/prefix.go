package dev

import (
	"bytes"
	"io"
	"sync"
)

// maxLine is where a line without an end is cut, so that a child cannot make its
// parent grow.
const maxLine = 64 << 10

// prefixer puts a name before each line, and lets several of them write to one
// writer without mixing lines.
type prefixer struct {
	mu     *sync.Mutex
	w      io.Writer
	prefix []byte
	rest   []byte
}

// copy copies lines from r until its end.
func (p *prefixer) copy(r io.Reader) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := r.Read(buffer)
		p.write(buffer[:n])
		if err != nil {
			if len(p.rest) > 0 {
				p.write([]byte("\n"))
			}
			return
		}
	}
}

func (p *prefixer) write(data []byte) {
	var out []byte
	for len(data) > 0 {
		line, after, whole := bytes.Cut(data, []byte("\n"))
		p.rest = append(p.rest, line...)
		data = after
		if !whole && len(p.rest) < maxLine {
			break
		}
		out = append(append(append(out, p.prefix...), p.rest...), '\n')
		p.rest = p.rest[:0]
	}
	if len(out) > 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, _ = p.w.Write(out)
	}
}

package render

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// none stands in a cell that has nothing to say.
const none = "-"

// table is rows of cells below a head; numbers stand to the right.
type table struct {
	head  []string
	right map[int]bool
	rows  [][]string
}

func newTable(head ...string) *table {
	t := &table{right: map[int]bool{}}
	for i, h := range head {
		name, numeric := strings.CutSuffix(h, ">")
		t.head = append(t.head, name)
		t.right[i] = numeric
	}
	return t
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		if c == "" {
			cells[i] = none
		}
	}
	t.rows = append(t.rows, cells)
}

func (t *table) write(w io.Writer) error {
	widths := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, row := range all {
		var line strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if i > 0 {
				line.WriteString("  ")
			}
			if t.right[i] {
				line.WriteString(pad + c)
			} else {
				line.WriteString(c + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// span prints a duration as people say it: its two largest units.
func span(d time.Duration) string {
	if d < 0 {
		return "0s"
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return strings.Replace(fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds()), ".0s", "s", 1)
	}
	d = d.Truncate(time.Second)
	days, rest := d/(24*time.Hour), d%(24*time.Hour)
	hours, minutes, seconds := rest/time.Hour, rest%time.Hour/time.Minute, rest%time.Minute/time.Second
	switch {
	case days > 0:
		return joined(int64(days), "d", int64(hours), "h")
	case hours > 0:
		return joined(int64(hours), "h", int64(minutes), "m")
	case minutes > 0:
		return joined(int64(minutes), "m", int64(seconds), "s")
	default:
		return fmt.Sprintf("%ds", int64(seconds))
	}
}

func joined(a int64, unitA string, b int64, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d%s", a, unitA)
	}
	return fmt.Sprintf("%d%s%d%s", a, unitA, b, unitB)
}

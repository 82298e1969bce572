package rotation

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/concord-suite/concord/platform/vault"
)

// Print writes where a keyring stands: its keys, the rows under each, the processes and what they have.
func (s Status) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tFOR\tROLE")
	for _, k := range s.Keys.Seal {
		fmt.Fprintf(table, "%s\tsealing\t%s\n", k.ID, k.Role)
	}
	for _, k := range s.Keys.MAC {
		fmt.Fprintf(table, "%s\thashing\t%s\n", k.ID, k.Role)
	}
	fmt.Fprintln(table, "\nSERVICE\tWHAT\tKEY\tROWS")
	known := s.Keys.All()
	for _, p := range s.Parts {
		for _, c := range append(slices.Clone(p.Columns), p.Hashes...) {
			for _, key := range slices.Sorted(maps.Keys(c.Uses)) {
				note := ""
				if !slices.Contains(known, key) {
					note = "  (not in the keyring)"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%d%s\n", p.Service, c.Name, key, c.Uses[key], note)
			}
		}
	}
	fmt.Fprintln(table, "\nSERVICE\tPROCESS\tSEALS WITH\tHASHES WITH\tHEARD OF")
	for _, p := range s.Parts {
		for _, r := range p.Replicas {
			heard := r.Silent.Round(time.Second).String() + " ago"
			if !r.Live() {
				heard += ", gone"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", p.Service, r.Name, r.Sealing, r.Hashing, heard)
		}
	}
	return table.Flush()
}

// Screen shows the steps of a rotation: a bar on a terminal, a line whenever something changed elsewhere.
type Screen struct {
	out   io.Writer
	bar   bool
	total int
	said  string
	drawn bool
}

// NewScreen makes a screen.
func NewScreen(out io.Writer) *Screen {
	file, ok := out.(*os.File)
	if ok {
		info, err := file.Stat()
		ok = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return &Screen{out: out, bar: ok}
}

// Show shows a step.
func (s *Screen) Show(step Step) {
	line := step.Doing
	if step.Old != nil {
		left := step.Status.Left(step.Old)
		s.total = max(s.total, left)
		line += fmt.Sprintf(": %s left of %d%s", rows(left), s.total, perColumn(step.Status, step.Old))
		if s.bar && s.total > 0 {
			const width = 30
			filled := width * (s.total - left) / s.total
			line = "[" + strings.Repeat("#", filled) + strings.Repeat(".", width-filled) + "] " + line
		}
	}
	if step.Waits != nil {
		line += "; " + strings.TrimPrefix(step.Waits.Error(), ErrRefused.Error()+": ")
	}
	switch {
	case line == s.said:
	case s.bar && step.Old != nil:
		fmt.Fprintf(s.out, "\r\x1b[K%s", line)
		s.drawn = true
	default:
		s.End()
		fmt.Fprintln(s.out, line)
	}
	s.said = line
}

// End begins a new line after a bar.
func (s *Screen) End() {
	if s.drawn {
		fmt.Fprintln(s.out)
	}
	s.drawn = false
}

// perColumn lists the columns that have rows left.
func perColumn(s Status, old []vault.KeyID) string {
	var parts []string
	for _, p := range s.Parts {
		for _, c := range p.Columns {
			if n := c.Of(old); n > 0 {
				parts = append(parts, fmt.Sprintf("%s %s %d", p.Service, c.Name, n))
			}
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

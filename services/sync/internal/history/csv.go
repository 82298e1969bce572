package history

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"
)

// header names the columns. They never change their order; new ones go to the end.
var header = []string{"sequence", "time", "kind", "actor", "summary", "resource"}

// CSV writes entries as RFC 4180: UTF-8, CR LF, quoted where needed. A value that a spreadsheet would take for a formula
// gets an apostrophe in front, as OWASP advises, since names and subjects come from outside.
type CSV struct {
	w *csv.Writer
}

// NewCSV starts a CSV with its header.
func NewCSV(w io.Writer) (*CSV, error) {
	c := &CSV{w: csv.NewWriter(w)}
	c.w.UseCRLF = true
	return c, c.w.Write(header)
}

// Write adds one entry.
func (c *CSV) Write(e Entry) error {
	return c.w.Write([]string{
		strconv.FormatInt(e.Seq, 10), e.At.UTC().Format(time.RFC3339Nano), harmless(e.Kind), harmless(e.Actor),
		harmless(e.Summary), harmless(e.Resource),
	})
}

// Flush hands over what is buffered.
func (c *CSV) Flush() error {
	c.w.Flush()
	return c.w.Error()
}

// harmless keeps text from being a formula: one starts with = + - @, and a tab or line break in front of that is skipped.
func harmless(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n") // a bare CR LF inside a field would be written as CR CR LF
	s = strings.ReplaceAll(s, "\r", "\n")
	if s != "" && strings.ContainsRune("=+-@\t\n＝＋－＠", []rune(s)[0]) {
		return "'" + s
	}
	return s
}

// FileName is the name under which a client's history is filed.
func FileName(clientName string, at time.Time) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return ' '
		}
		return r
	}, clientName)
	name = strings.Trim(strings.Join(strings.Fields(name), " "), ". ")
	if r := []rune(name); len(r) > 50 { // 255 bytes are the most a file name may have, and a rune may take four
		name = strings.TrimSpace(string(r[:50]))
	}
	if name == "" {
		name = "client"
	}
	return "Client history " + name + " " + at.UTC().Format("2006-01-02") + ".csv"
}

package xpm

import (
	"bufio"
	"io"
	"strings"
)

// writer produces the provider's XML: no declaration, no white space between elements, empty text as
// <X></X>, empty lists as <X />. Text goes out as it is kept, line breaks and indentation included.
//
// The first write error sticks in the bufio.Writer and is found by flush.
type writer struct {
	out *bufio.Writer
	v30 bool // integer ids first and UUIDs last
}

func newWriter(w io.Writer, v30 bool) *writer {
	return &writer{out: bufio.NewWriterSize(w, 64<<10), v30: v30}
}

func (w *writer) raw(s string) { _, _ = w.out.WriteString(s) }

func (w *writer) open(name string)  { w.raw("<" + name + ">") }
func (w *writer) close(name string) { w.raw("</" + name + ">") }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// text writes an element that is there whether or not it has a value.
func (w *writer) text(name, value string) {
	w.open(name)
	_, _ = escaper.WriteString(w.out, strings.Map(allowed, value))
	w.close(name)
}

// optional writes an element only if it has a value.
func (w *writer) optional(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *writer) yesNo(name string, value bool) {
	if value {
		w.text(name, "Yes")
		return
	}
	w.text(name, "No")
}

// list writes <name> with what each writes for n entries, or <name /> for none.
func (w *writer) list(name string, n int, each func(i int)) {
	if n == 0 {
		w.raw("<" + name + " />")
		return
	}
	w.open(name)
	for i := range n {
		each(i)
	}
	w.close(name)
}

// allowed drops the characters XML 1.0 has no form for.
func allowed(r rune) rune {
	if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
		return -1
	}
	return r
}

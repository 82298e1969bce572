package transport

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A provider's words are cut between letters and carry nothing that a database or a message would refuse.
func TestWords(t *testing.T) {
	for in, want := range map[string]string{
		" two\n lines ":  "two lines",
		"nul\x00inside":  "nul inside",
		"broken\xc3":     "broken",
		"plain sentence": "plain sentence",
	} {
		if got := Line(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	long := Line("a" + strings.Repeat("é", 500))
	if !utf8.ValidString(long) || utf8.RuneCountInString(long) != maxWords {
		t.Errorf("cut to %d letters, valid %v", utf8.RuneCountInString(long), utf8.ValidString(long))
	}
}

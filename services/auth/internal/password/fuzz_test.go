package password

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A stored hash that somebody damaged or made up is refused, or costs no more than the bounds allow and is written again
// as it was read.
func FuzzPHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE")
	f.Add("$argon2id$v=19$m=19456,t=2,p=1,keyid=YQ$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE")
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdA$")
	f.Add("$2b$12$abcdefghijklmnopqrstuv")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			if len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Fatalf("the hash stands in its error: %v", err)
			}
			return
		}
		if p := s.params; p.Memory > maxMemory || p.Time > maxTime || p.Memory < 8 || p.Time < 1 || p.Threads < 1 {
			t.Fatalf("costs out of bounds: %+v", p)
		}
		again, err := parse(s.format())
		if err != nil || again.format() != s.format() || again.params != s.params {
			t.Fatalf("%q is read as %+v, written as %q: %v", text, s, s.format(), err)
		}
	})
}

// Whatever somebody chooses as a password, the rules say yes or name one reason, the same for every form of the same
// text; short ones and what can't be typed are never taken.
func FuzzCheck(f *testing.F) {
	f.Add("nine-lamps-under-the-orchard", "ada@harbour.example")
	f.Add("password1", "")
	f.Add("\xff\xfe", "x")
	f.Add(strings.Repeat("\u00e9", 200), "e\u0301")
	f.Fuzz(func(t *testing.T, password, word string) {
		rule := Check(password, Alone, word)
		switch n := utf8.RuneCountInString(norm.NFC.String(password)); {
		case rule == nil && (n < MinAlone || n > MaxLength || !utf8.ValidString(password)):
			t.Fatalf("%q is taken", password)
		case rule == nil && Check(password, Beside, word) != nil:
			t.Fatalf("%q may stand alone and not beside something", password)
		case rule != nil && (rule.ID == "" || rule.Words == ""):
			t.Fatalf("%q is refused without a reason", password)
		}
		if utf8.ValidString(password) && Check(norm.NFD.String(password), Alone, word) != rule {
			t.Fatalf("%q is judged by how it is written", password)
		}
	})
}

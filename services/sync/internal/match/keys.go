// Package match says which existing client a new record may be.
//
// Identity is the provider's record id and nothing else. What this package finds are suggestions for a person: code,
// name, business number and the like only score, with evidence in words, and what speaks against is counted too, so that
// father and son of one name, or two companies of one code, are not taken for each other.
package match

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/concord-suite/concord/services/sync/internal/client"
)

// Keys are what candidates are looked up by. An empty key finds nothing.
type Keys struct {
	Name, Code, Business string
}

// KeysOf returns the keys of a client or record.
func KeysOf(f client.Fields) Keys {
	return Keys{Name: NameKey(f.Name), Code: CodeKey(f.Code), Business: digits(f.BusinessNumber)}
}

// CodeKey is a client code without regard to case.
func CodeKey(code string) string { return strings.ToLower(strings.TrimSpace(code)) }

// NameKey is a name as people mean it: without case, accents, macrons and punctuation, "Smith, John" as "john smith",
// the forms of Pty Ltd and the like as one, and without "the trustee for", with which registers begin trusts.
func NameKey(name string) string {
	if last, first, ok := strings.Cut(name, ","); ok && !strings.Contains(first, ",") && strings.TrimSpace(first) != "" {
		name = first + " " + last
	}
	words := strings.Fields(fold(name))
	words = oneForm(words)
	for _, lead := range leads {
		if rest, ok := strings.CutPrefix(strings.Join(words, " ")+" ", lead+" "); ok && strings.TrimSpace(rest) != "" {
			words = strings.Fields(rest)
			break
		}
	}
	return strings.Join(words, " ")
}

// leads are what a name may begin with without meaning another client. Longer ones come first.
var leads = []string{"the trustee for the", "the trustee for", "trustee for the", "trustee for", "the"}

// fold lowers, strips accents (Māori names lose their macrons in many systems) and turns punctuation into spaces.
func fold(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		switch {
		case unicode.Is(unicode.Mn, r), r == '\'', r == '’', r == '.':
			// marks are dropped; O'Brien is OBrien, and P.T.Y. is PTY
		case unicode.IsLetter(r), unicode.IsDigit(r):
			b.WriteRune(unicode.ToLower(r))
		case r == '&', r == '+':
			b.WriteString(" and ")
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// forms are words of a legal form and the one way they are written here.
var forms = map[string]string{
	"proprietary": "pty", "limited": "ltd", "company": "co", "incorporated": "inc", "corporation": "corp",
}

// oneForm rewrites legal forms: "Proprietary Limited", "Pty. Ltd.", "(Pty) Limited" and "P/L" are all "pty ltd".
func oneForm(words []string) []string {
	out := make([]string, 0, len(words)+1)
	for _, w := range words {
		if f, ok := forms[w]; ok {
			w = f
		}
		out = append(out, w)
	}
	n := len(out)
	switch {
	case n > 2 && out[n-2] == "p" && out[n-1] == "l":
		out = append(out[:n-2], "pty", "ltd")
	case n > 1 && out[n-1] == "pl":
		out = append(out[:n-1], "pty", "ltd")
	case n > 1 && out[n-1] == "pty":
		out = append(out, "ltd")
	}
	return out
}

// digits keeps the digits: "51 824 753 556" and "51824753556" are one business number.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

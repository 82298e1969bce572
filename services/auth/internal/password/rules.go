package password

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/concord-suite/concord/services/auth/internal/password/breached"
)

const (
	// MinLength is the fewest characters where a second factor goes with the password (SP 800-63B-4 §3.1.1.2).
	MinLength = 8
	// MinAlone is the fewest characters of a password that is all somebody signs in with (the same).
	MinAlone = 15
	// MaxLength is the most characters; the standards ask for at least 64, more only costs time.
	MaxLength = 1024
)

// Rule names a rule that a password breaks.
type Rule struct {
	// ID is for machines: "password.too_short".
	ID string
	// Words say it to the person who chooses.
	Words string
}

// Use is what a password is for.
type Use int

// The uses.
const (
	// Beside: a second factor is asked for as well.
	Beside Use = iota
	// Alone: the password is all that is asked for.
	Alone
)

// The rules.
var (
	tooShort      = &Rule{"password.too_short", "use at least 8 characters"}
	tooShortAlone = &Rule{"password.too_short", "use at least 15 characters, since it is all you sign in with; some words in a row will do"}

	tooLong  = &Rule{"password.too_long", "use at most 1024 characters"}
	notText  = &Rule{"password.not_text", "use characters that can be typed"}
	stolen   = &Rule{"password.breached", "this password was stolen elsewhere and published; choose another"}
	common   = &Rule{"password.common", "this is one of the passwords that are tried first; choose another"}
	repeated = &Rule{"password.repeated", "this repeats or counts; choose something less regular"}
	// Unchanged is for whoever chooses the password they have.
	Unchanged   = &Rule{"password.unchanged", "this is the password you have; choose another"}
	fromContext = &Rule{"password.context", "this is made from your name, address or firm; choose something else"}
)

// Short tells whether a password is not long enough to stand alone. Whoever was let choose a shorter one beside a second
// factor goes on showing that one.
func Short(password string) bool { return utf8.RuneCountInString(norm.NFC.String(password)) < MinAlone }

// Check returns the rule a password breaks, or nil. Words are what an attacker would try for this person: the name, the
// firm, the parts of the e-mail address. There are no rules about kinds of characters, on purpose.
func Check(password string, use Use, words ...string) *Rule {
	if !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl) {
		return notText
	}
	text := norm.NFC.String(password)
	switch n := utf8.RuneCountInString(text); {
	case n < MinLength:
		return tooShort
	case n > MaxLength:
		return tooLong
	case use == Alone && n < MinAlone:
		return tooShortAlone
	}
	plain := strings.ToLower(text)
	if regular(plain) {
		return repeated
	}
	core := stem(plain)
	if commonStems[core] || commonStems[plain] || commonStems[compact(plain)] {
		return common
	}
	for _, w := range contextWords(words) {
		if w == core || w == plain || w == compact(plain) {
			return fromContext
		}
	}
	if breached.Contains(plain) {
		return stolen
	}
	return nil
}

// leet undoes the usual disguises of letters.
var leet = strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t")

// stem is what is left of a password without the decoration people add: digits and signs at both ends, letters written
// as digits in the middle, spaces.
func stem(plain string) string {
	edge := func(r rune) bool { return !unicode.IsLetter(r) }
	trimmed := strings.TrimFunc(plain, edge)
	// "pa$$w0rd1": the digits inside stand for letters, those at the ends are a suffix.
	return compact(leet.Replace(trimmed))
}

// compact drops what is neither letter nor digit.
func compact(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
}

// regular tells whether a text is one piece over and over, or a run along the alphabet, the digits or a row of keys.
func regular(plain string) bool {
	runes := []rune(plain)
	for size := 1; size <= len(runes)/2; size++ {
		if periodic(runes, size) {
			return true
		}
	}
	for _, row := range []string{
		"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm",
		"1qaz2wsx3edc4rfv5tgb6yhn", "1q2w3e4r5t6y7u8i9o0p",
	} {
		if strings.Contains(row, plain) || strings.Contains(reverse(row), plain) {
			return true
		}
	}
	return false
}

func periodic(runes []rune, size int) bool {
	for i := size; i < len(runes); i++ {
		if runes[i] != runes[i-size] {
			return false
		}
	}
	return true
}

func reverse(s string) string {
	runes := []rune(s)
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}

// contextWords takes names and addresses apart: the whole, its parts, and pairs of neighbours.
func contextWords(words []string) []string {
	out := []string{"concord"}
	for _, w := range words {
		parts := strings.FieldsFunc(strings.ToLower(norm.NFC.String(w)), func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r)
		})
		out = append(out, strings.Join(parts, ""))
		for i, p := range parts {
			if utf8.RuneCountInString(p) >= 4 {
				out = append(out, p)
			}
			if i > 0 {
				out = append(out, parts[i-1]+p)
			}
		}
	}
	return out
}

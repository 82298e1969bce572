package pack

import (
	"fmt"
	"strings"
	"time"
)

// Span writes a length of time as people say it, in the largest unit that it is whole in.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		word string
		is   time.Duration
	}{{"day", day}, {"hour", time.Hour}, {"minute", time.Minute}} {
		switch n := d / unit.is; {
		case d%unit.is != 0 || n == 0 || unit.is == day && n == 1:
		case n == 1:
			return "1 " + unit.word
		default:
			return fmt.Sprintf("%d %ss", n, unit.word)
		}
	}
	return d.Round(time.Second).String()
}

// shown are the names of RFC 8176, and our own of its kind, in words. "otp" beside a channel is the PIN that was sent there.
var shown = map[string]string{
	"pwd": "password", "sms": "PIN by text message", "email": "PIN by e-mail", "otp": "code of an authenticator program",
	"hwk": "passkey", "swk": "passkey kept by a program", "user": "", "recovery": "recovery code",
}

// methods writes what opened sessions, names with spaces between, in words.
func methods(text string) string {
	all := strings.Fields(text)
	sent := strings.Contains(text, "sms") || strings.Contains(text, "email")
	var words []string
	for _, name := range all {
		word, known := shown[name]
		if !known {
			word = name
		}
		if word != "" && !(name == "otp" && sent) {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

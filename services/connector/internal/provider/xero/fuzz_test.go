package xero

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What an identity token says of a person is shown to people: whatever stands in one, a line of text comes out.
func FuzzIdentityToken(f *testing.F) {
	f.Add("e30.eyJuYW1lIjoiQW5uIE5nIiwiZW1haWwiOiJhbm5AZXhhbXBsZS5jb20ifQ.")
	f.Add("..")
	f.Add("a.bnVsbA.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		shown := read(token).person()
		if !utf8.ValidString(shown) || strings.ContainsFunc(shown, unicode.IsControl) {
			t.Fatalf("%q is shown", shown)
		}
		_ = stamp(token)
	})
}

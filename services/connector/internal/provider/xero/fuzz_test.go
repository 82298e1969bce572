package xero

import (
	"testing"
	"unicode/utf8"
)

// What an identity token says of a person is shown to people: whatever stands in one, a line of text comes out.
func FuzzIdentityToken(f *testing.F) {
	f.Add("e30.eyJuYW1lIjoiQW5uIE5nIiwiZW1haWwiOiJhbm5AZXhhbXBsZS5jb20ifQ.")
	f.Add("..")
	f.Add("a.bnVsbA.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		for _, c := range read(token).person() {
			if c < ' ' || c == utf8.RuneError {
				t.Fatalf("%q holds %q", read(token).person(), c)
			}
		}
		_ = stamp(token)
	})
}

package accounting

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// FuzzReader reads anything. What is taken is JSON to another reader and text, and the same the second time; what is not is
// an error of a kind, with words.
func FuzzReader(f *testing.F) {
	f.Add(doc(full), "application/json")
	f.Add(doc(full, full), "application/json; charset=utf-8")
	f.Add("\xEF\xBB\xBF"+doc(), "")
	f.Add(`{"Contacts":[{"ContactID":"x","ContactID":"y"}]}`, "application/json")
	f.Add(strings.Repeat(`{"Contacts":[`, 40), "application/json")
	f.Fuzz(func(t *testing.T, text, contentType string) {
		ask := func() ([]contact, error) {
			all, _, err := read(provider.Answer{Body: strings.NewReader(text), ContentType: contentType}, 1<<20)
			return all, err
		}
		all, err := ask()
		again, err2 := ask()
		if (err == nil) != (err2 == nil) || len(all) != len(again) {
			t.Fatalf("%v, then %v", err, err2)
		}
		if err != nil {
			known := errors.Is(err, provider.ErrInvalid) || errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrUnknownRecord)
			if !known || provider.Text(err) == "" || !utf8.ValidString(err.Error()) {
				t.Fatalf("an error of no kind: %q", err)
			}
			return
		}
		if !json.Valid([]byte(strings.TrimPrefix(text, "\xEF\xBB\xBF"))) {
			t.Fatalf("taken, and no JSON: %q", text)
		}
		for i, c := range all {
			r := c.record()
			if r.Hash() != again[i].record().Hash() {
				t.Fatal("read differently the second time")
			}
			if r.Client == nil || !utf8.ValidString(r.Client.Name) || len(r.Client.Name) > maxValue {
				t.Fatalf("%+v is no client", r)
			}
		}
	})
}

// A place in a listing that nobody wrote is refused, and every other is written again as it was read.
func FuzzCursor(f *testing.F) {
	f.Add("1.100.250")
	f.Add("")
	f.Add("9223372036854775808.0.0")
	f.Add("-1.2.3")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := parseCursor(token)
		if err != nil || token == "" {
			return
		}
		if again, err := parseCursor(c.String()); err != nil || again != c || c.page < 0 || c.seen < 0 {
			t.Fatalf("%q is %+v: %v", token, c, err)
		}
	})
}

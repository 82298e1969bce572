package transfer

import (
	"mime"
	"path/filepath"
	"testing"

	"github.com/concord-suite/concord/platform/vault"
)

// Only what the service made is a ticket, and only for what it was made for.
func FuzzTicket(f *testing.F) {
	ring, err := vault.OpenOrCreate(filepath.Join(f.TempDir(), "keyring.json"))
	if err != nil {
		f.Fatal(err)
	}
	tickets := NewTickets(ring)
	const id = "0198a000-0000-7000-8000-00000000000a"
	for _, make := range []func(string) (string, error){tickets.Upload, tickets.Download} {
		ticket, err := make(id)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ticket)
	}
	f.Add("")
	f.Add("dWFhYWFhYWFhYWFhYWFhYWE")
	f.Fuzz(func(t *testing.T, ticket string) {
		for _, direction := range []byte{up, down} {
			if got, ok := tickets.read(direction, ticket); ok && got != id {
				t.Fatalf("%q permits %c of %q", ticket, direction, got)
			}
		}
	})
}

// A document's name and media type go into headers: whatever they are, each stays one header of its kind.
func FuzzHeaders(f *testing.F) {
	f.Add("Tax return 2026.pdf", "application/pdf")
	f.Add("a\r\nSet-Cookie: x=y", "text/html; charset=\"\r\n\"")
	f.Add("\xff\"\\", "")
	f.Fuzz(func(t *testing.T, name, media string) {
		for _, header := range []string{disposition(name), contentType(media), mediaTypeOf([]byte(media), name)} {
			for _, c := range []byte(header) {
				if c < ' ' && c != '\t' || c == 0x7f {
					t.Fatalf("%q", header)
				}
			}
		}
		kind, _, err := mime.ParseMediaType(disposition(name))
		if err != nil || kind != "attachment" {
			t.Fatalf("%q is %q: %v", disposition(name), kind, err)
		}
	})
}

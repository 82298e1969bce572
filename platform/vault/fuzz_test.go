package vault_test

import (
	"bytes"
	"testing"

	"github.com/concord-suite/concord/platform/vault"
)

// Bytes that nobody sealed do not open, for the row they were sealed for or any other, and bring nothing down.
func FuzzOpen(f *testing.F) {
	v, err := vault.OpenOrCreate(f.TempDir() + "/keyring.json")
	if err != nil {
		f.Fatal(err)
	}
	row := vault.Row{Firm: "f", Table: "grants", ID: "1", Column: "tokens"}
	sealed, _, err := v.Seal([]byte("a refresh token"), row)
	if err != nil {
		f.Fatal(err)
	}
	sum, err := v.MAC([]byte("123456"), row)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, "1")
	f.Add(sealed, "2")
	f.Add(sum, "1")
	f.Add([]byte{}, "")
	f.Add([]byte{1, 0, 0, 0, 0}, "1")
	f.Fuzz(func(t *testing.T, text []byte, id string) {
		at := row
		at.ID = id
		if plain, err := v.Open(text, at); err == nil && (!bytes.Equal(text, sealed) || id != "1") {
			t.Fatalf("opened %x of row %q: %q", text, id, plain)
		}
		if v.VerifyMAC(text, []byte("123456"), at) == nil && (!bytes.Equal(text, sum) || id != "1") {
			t.Fatalf("%x is the hash of a PIN in row %q", text, id)
		}
		_, _ = vault.KeyOf(text)
		_, _ = vault.KeyOfMAC(text)
	})
}

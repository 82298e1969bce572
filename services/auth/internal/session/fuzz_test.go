package session

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// No verifier proves a challenge but the one it was made from, in the alphabet and length of the standard.
func FuzzProvesChallenge(f *testing.F) {
	const verifier = "a-verifier-that-is-long-enough-for-the-contract-0001"
	sum := sha256.Sum256([]byte(verifier))
	f.Add(verifier, base64.RawURLEncoding.EncodeToString(sum[:]))
	f.Add(verifier, verifier)
	f.Add("", "")
	f.Add(strings.Repeat("a", 129), "x")
	f.Fuzz(func(t *testing.T, verifier, challenge string) {
		if !ProvesChallenge(verifier, challenge) {
			return
		}
		sum := sha256.Sum256([]byte(verifier))
		if len(verifier) < 43 || len(verifier) > 128 || challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			t.Fatalf("%q proves %q", verifier, challenge)
		}
	})
}

// A token is of one purpose at most, and what is stored of it neither holds it nor fits another.
func FuzzToken(f *testing.F) {
	token, _ := NewToken(ForPerson)
	f.Add(token)
	f.Add("cai_")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, text string) {
		purposes := 0
		for _, p := range []Purpose{ForPerson, ForAddIn, ForRefresh} {
			if p.Is(text) {
				purposes++
			}
		}
		if purposes > 1 {
			t.Fatalf("%q is of %d purposes", text, purposes)
		}
		if hash := Hash(text); len(hash) < 32 || string(hash) == text || text != token && string(hash) == string(Hash(token)) {
			t.Fatalf("%q is stored as %x", text, hash)
		}
	})
}

// Package recovery makes the codes that people keep for the day their other factors are lost.
//
// A code is 80 random bits, in letters and digits that are not taken for each other. It is kept as a hash under a key of
// its account; the key itself is sealed by whoever stores it. The package keeps nothing.
package recovery

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"
	"unicode"
)

const (
	// Codes is how many are made at once.
	Codes = 10
	// codeBytes is the randomness of one: 80 bits, where SP 800-63B asks for 64. 16 letters are four groups of four.
	codeBytes = 10
	group     = 4
	// keyBytes is the size of the key, that of the hash.
	keyBytes = sha256.Size
	// IssuedLife is how long a code lives that an administrator hands out (SP 800-63B §4.2.1.2).
	IssuedLife = 24 * time.Hour
)

// alphabet is Crockford's: without i, l, o and u.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var encoding = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// NewKey makes the key of an account.
func NewKey() []byte {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails: it ends the program instead
	return key
}

// NewCode makes a code as it is shown: "0a1b-2c3d-4e5f-6g7h".
func NewCode() string {
	random := make([]byte, codeBytes)
	_, _ = rand.Read(random)
	text := encoding.EncodeToString(random)
	var groups []string
	for ; len(text) > 0; text = text[group:] {
		groups = append(groups, text[:group])
	}
	return strings.Join(groups, "-")
}

// MAC is what a code is stored as, however somebody typed it: capitals, spaces and dashes do not matter, and letters that
// are no part of the alphabet count as the digits they look like.
func MAC(key []byte, typed string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Map(plain, typed)))
	return mac.Sum(nil)
}

func plain(r rune) rune {
	switch r = unicode.ToLower(r); {
	case unicode.IsSpace(r), unicode.Is(unicode.Pd, r):
		return -1
	case r == 'o':
		return '0'
	case r == 'i', r == 'l':
		return '1'
	}
	return r
}

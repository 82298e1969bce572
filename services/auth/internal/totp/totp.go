// Package totp is RFC 6238: codes that an authenticator program makes from a shared secret and the time.
//
// What every such program can do is what is used: SHA-1, six digits, steps of half a minute. The code of the step that the
// server's clock is in is taken, and the one before for who types slowly; each once. The package keeps nothing.
package totp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"net/url"
	"strings"
	"time"
)

const (
	// SecretBytes is the size of a secret: 160 bits, as RFC 4226 recommends and as many as SHA-1 has.
	SecretBytes = 20
	// Period is how long a code is shown.
	Period = 30 * time.Second
	// digits is the length of a code.
	digits = 6
	// back is how many steps before the present one are taken as well (RFC 6238 §5.2: one at most).
	back = 1
)

// NewSecret makes a secret.
func NewSecret() []byte {
	secret := make([]byte, SecretBytes)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	return secret
}

// StepOf is the number of half minutes from 1970 to a time.
func StepOf(t time.Time) int64 { return t.Unix() / int64(Period/time.Second) }

// Code is the code of a step.
func Code(secret []byte, step int64) string { return code(sha1.New, secret, uint64(step), digits) }

// Check tells whether somebody shows a code that counts now, and of which step it is: the present one or the one before,
// and later than the last one that was accepted (0 for none). It compares all of them, whatever fits.
func Check(secret []byte, shown string, now time.Time, last int64) (step int64, ok bool) {
	present := StepOf(now)
	for s := present - back; s <= present; s++ {
		if subtle.ConstantTimeCompare([]byte(Code(secret, s)), []byte(shown)) == 1 && s > last {
			step, ok = s, true
		}
	}
	return step, ok
}

// code is RFC 4226: a hash of the counter, of which the last four bits say where 31 bits are read.
func code(h func() hash.Hash, secret []byte, counter uint64, digits int) string {
	mac := hmac.New(h, secret)
	_ = binary.Write(mac, binary.BigEndian, counter) // a hash takes everything
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	value := binary.BigEndian.Uint32(sum[at:at+4]) & 0x7fffffff
	modulus := uint32(1)
	for range digits {
		modulus *= 10
	}
	return fmt.Sprintf("%0*d", digits, value%modulus)
}

// Text is a secret in the form in which it can be typed: base 32 without padding.
func Text(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// URI is the address by which a program takes over a secret, mostly from a QR code. Spaces are written as %20, since
// programs show a plus as it stands.
func URI(secret []byte, issuer, account string) string {
	escaped := url.PathEscape(issuer)
	label := escaped + ":" + strings.ReplaceAll(url.PathEscape(account), "%40", "@")
	return fmt.Sprintf("otpauth://totp/%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d",
		label, Text(secret), escaped, digits, int(Period/time.Second))
}

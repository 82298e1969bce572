package session

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// ForRefresh is the purpose of an Add-In's refresh token. Its access token's is ForAddIn.
const ForRefresh Purpose = "car_"

// verifierAlphabet is what RFC 7636 §4.1 lets a code verifier hold.
const verifierAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// ProvesChallenge tells whether a PKCE verifier is the one its S256 challenge was made from (RFC 7636 §4.6). The "plain"
// method does not exist here.
func ProvesChallenge(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, verifierAlphabet) != "" {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(got), []byte(challenge)) == 1
}

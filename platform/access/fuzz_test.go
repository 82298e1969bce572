package access_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
)

// Whatever a token looks like, it is refused as one, and only what a trusted key signed is taken: changing one character
// of such a token makes it another.
func FuzzVerify(f *testing.F) {
	mint := accesstest.NewMint(f, time.Now)
	good := mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "things")
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"concord-internal+jwt"}`)) + "." + parts[1] + ".")
	f.Add(`{"payload":"` + parts[1] + `","signatures":[]}`)
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","jwk":{"kty":"OKP"},"kid":"x"}`)) + "." + parts[1] + "." + parts[2])
	v := mint.Verifier("things")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.Verify(t.Context(), token)
		switch {
		case err == nil && token != good:
			t.Fatalf("taken: %q as %v", token, p)
		case err != nil && !errors.Is(err, access.ErrToken):
			t.Fatalf("an error of no token: %v", err)
		case err != nil && token != "" && len(token) > 20 && strings.Contains(err.Error(), token):
			t.Fatalf("the token stands in its error: %v", err)
		}
	})
}

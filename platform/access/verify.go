package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ErrToken says that a token is not valid for this audience. Its text names the check that failed, for logs; callers
// are only told that they are not signed in.
var ErrToken = errors.New("access: token refused")

// verifiedMax bounds the memory of verified tokens: two generations of this many, about a kilobyte each. A signature
// check costs about 70 µs, a look-up less than one, and the gateway sends the same token for all calls of a session.
const verifiedMax = 2048

// Verifier checks tokens meant for one audience. It is safe for concurrent use.
type Verifier struct {
	keys     KeySource
	audience string
	now      Clock

	mu    sync.Mutex
	young map[string]verified
	old   map[string]verified
}

type verified struct {
	principal Principal
	issuer    string
	notBefore time.Time
	expires   time.Time
	checkBy   time.Time
}

// keyRecheck is how long a remembered token is believed without asking the key source again, so that a key withdrawn
// from the trust set stops working before its last token expires.
const keyRecheck = 30 * time.Second

// NewVerifier makes the verifier of the service named audience.
func NewVerifier(audience string, keys KeySource, now Clock) *Verifier {
	return &Verifier{keys: keys, audience: audience, now: now, young: map[string]verified{}, old: map[string]verified{}}
}

// Audience is the service name that tokens must be meant for.
func (v *Verifier) Audience() string { return v.audience }

// Verify returns the principal of a token, or an error that is ErrToken. An error that is not ErrToken means that keys
// could not be fetched. Revocation is not looked at here: see Revocations.
func (v *Verifier) Verify(ctx context.Context, token string) (Principal, error) {
	p, _, err := v.VerifyIssued(ctx, token)
	return p, err
}

// VerifyIssued is Verify, and says who issued the token.
func (v *Verifier) VerifyIssued(ctx context.Context, token string) (p Principal, issuer string, err error) {
	if len(token) > maxTokenLength {
		return Principal{}, "", refuse("longer than %d bytes", maxTokenLength)
	}
	now := v.now()
	if hit, ok := v.recall(token); ok && now.Before(hit.checkBy) {
		return hit.principal, hit.issuer, inTime(hit, now)
	}
	out, err := v.check(ctx, token, now)
	if err != nil {
		return Principal{}, "", err
	}
	out.checkBy = now.Add(keyRecheck)
	v.remember(token, out)
	return out.principal, out.issuer, nil
}

func (v *Verifier) check(ctx context.Context, token string, now time.Time) (verified, error) {
	// Only the compact form: the JSON forms allow several signatures and unprotected headers.
	if strings.Count(token, ".") != 2 || strings.HasPrefix(strings.TrimSpace(token), "{") {
		return verified{}, refuse("not a compact token")
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return verified{}, refuse("not a signed token")
	}
	header := jws.Signatures[0].Protected
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != TokenType {
		return verified{}, refuse("wrong typ")
	}
	if header.KeyID == "" {
		return verified{}, refuse("no kid")
	}
	// The issuer is read before the signature is checked, only to choose among trusted keys. Everything else waits.
	var named struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &named); err != nil || named.Issuer == "" {
		return verified{}, refuse("no iss")
	}
	key, err := v.keys.Key(ctx, named.Issuer, header.KeyID)
	if errors.Is(err, ErrUnknownKey) {
		return verified{}, refuse("unknown key %q of issuer %q", header.KeyID, named.Issuer)
	}
	if err != nil {
		return verified{}, err
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return verified{}, refuse("wrong signature")
	}
	return v.read(payload, now)
}

// read checks the claims of a payload whose signature is right.
func (v *Verifier) read(payload []byte, now time.Time) (verified, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return verified{}, refuse("claims cannot be read")
	}
	issued, expires := time.Unix(c.Issued, 0), time.Unix(c.Expires, 0)
	switch {
	case c.Audience != v.audience:
		return verified{}, refuse("meant for %q", c.Audience)
	case c.Issued == 0 || c.Expires == 0 || c.NotBefore == 0:
		return verified{}, refuse("without its times")
	case expires.Sub(issued) > MaxTokenLife:
		return verified{}, refuse("lives too long")
	case issued.After(now.Add(skew)):
		return verified{}, refuse("issued in the future")
	}
	out := verified{principal: c.Principal.principal(), issuer: c.Issuer, notBefore: time.Unix(c.NotBefore, 0), expires: expires}
	if err := mayVouch(c.Issuer, out.principal); err != nil {
		return verified{}, refuse("%v", err)
	}
	return out, inTime(out, now)
}

func inTime(t verified, now time.Time) error {
	if !now.Before(t.expires.Add(skew)) {
		return refuse("expired")
	}
	if now.Add(skew).Before(t.notBefore) {
		return refuse("not valid yet")
	}
	return nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrToken, fmt.Sprintf(format, args...))
}

func (v *Verifier) recall(token string) (verified, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t, ok := v.young[token]; ok {
		return t, true
	}
	t, ok := v.old[token]
	return t, ok
}

func (v *Verifier) remember(token string, t verified) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.young) >= verifiedMax {
		v.old, v.young = v.young, make(map[string]verified, verifiedMax)
	}
	v.young[token] = t
}

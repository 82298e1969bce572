package access_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// clock is a clock that a test turns.
type clock struct{ t time.Time }

func (c *clock) now() time.Time       { return c.t }
func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }

func TestEveryPrincipalArrivesAsItWasMinted(t *testing.T) {
	c := &clock{noon}
	mint := accesstest.NewMint(t, c.now)
	for _, k := range access.Kinds()[1:] {
		p := accesstest.Of(k, accesstest.FirmA)
		if k != access.Service {
			p = accesstest.SteppedUp(p, noon)
		}
		got, err := mint.Verifier("sync").Verify(t.Context(), mint.Token(p, "sync"))
		require.NoError(t, err, access.KindName(k))
		require.Equal(t, p, got)
	}
}

func TestAServiceCarriesItsFirmAndItsInitiator(t *testing.T) {
	mint := accesstest.NewMint(t, nil)
	person := accesstest.Of(access.Administrator, accesstest.FirmA)
	got, err := mint.Verifier("documents").Verify(t.Context(), mint.Token(person.As("sync"), "documents"))
	require.NoError(t, err)
	require.Equal(t, access.Service, got.Kind)
	require.Equal(t, "sync", got.ID)
	require.Equal(t, accesstest.FirmA, got.Firm)
	require.Equal(t, person, *got.Initiator)
	require.Equal(t, person, got.Origin())
}

func TestN57_ASignerSpeaksOnlyForItself(t *testing.T) {
	mint := accesstest.NewMint(t, nil)
	gateway := mint.Signer("gateway")
	person := accesstest.Of(access.Staff, accesstest.FirmA)
	for _, p := range []access.Principal{
		person, accesstest.Of(access.Operator, ""), accesstest.Of(access.AddIn, accesstest.FirmA),
		accesstest.Of(access.Agent, accesstest.FirmA), access.ServicePrincipal("sync", ""), {},
	} {
		_, err := gateway.Mint(p, "sync", time.Minute)
		require.Error(t, err, "%v", p)
	}
	_, err := gateway.Mint(access.Principal{Kind: access.Anonymous, Address: "192.0.2.1"}, "auth", time.Minute)
	require.NoError(t, err, "a service may vouch for an address")
}

func TestMalformedPrincipalsAreNotMinted(t *testing.T) {
	auth := accesstest.NewMint(t, nil).Signer(access.AuthIssuer)
	edit := func(k access.Kind, f func(*access.Principal)) access.Principal {
		p := accesstest.Of(k, accesstest.FirmA)
		f(&p)
		return p
	}
	staff := accesstest.Of(access.Staff, accesstest.FirmA)
	nested := staff.As("sync")
	for name, p := range map[string]access.Principal{
		"no kind":               edit(access.Staff, func(p *access.Principal) { p.Kind = 0 }),
		"a kind of tomorrow":    edit(access.Staff, func(p *access.Principal) { p.Kind = 99 }),
		"no id":                 edit(access.Staff, func(p *access.Principal) { p.ID = "" }),
		"staff without a firm":  edit(access.Staff, func(p *access.Principal) { p.Firm = "" }),
		"operator with a firm":  edit(access.Operator, func(p *access.Principal) { p.Firm = accesstest.FirmA }),
		"nobody with a session": {Kind: access.Anonymous, Session: "s"},
		"strength unknown":      edit(access.Staff, func(p *access.Principal) { p.Strength = 3 }),
		"Add-In for nobody":     edit(access.AddIn, func(p *access.Principal) { p.ActsFor = nil }),
		"Add-In for a contact": edit(access.AddIn, func(p *access.Principal) {
			p.ActsFor = &access.StaffMember{Account: "a", Role: access.Contact}
		}),
		"staff for somebody":       edit(access.Staff, func(p *access.Principal) { p.ActsFor = &access.StaffMember{} }),
		"person with an initiator": edit(access.Staff, func(p *access.Principal) { p.Initiator = &staff }),
		"initiator of initiator":   {Kind: access.Service, ID: "auth", Initiator: &nested},
		"malformed initiator":      {Kind: access.Service, ID: "auth", Initiator: &access.Principal{Kind: access.Staff}},
	} {
		_, err := auth.Mint(p, "sync", time.Minute)
		require.Error(t, err, name)
	}
	_, err := auth.Mint(staff, "", time.Minute)
	require.Error(t, err, "no audience")
	_, err = auth.Mint(staff, "sync", access.MaxTokenLife+time.Second)
	require.Error(t, err, "too long a life")
	_, err = auth.Mint(staff, "sync", 0)
	require.Error(t, err, "no life")
}

func TestN47_ATokenIsForOneAudienceAndTwoMinutes(t *testing.T) {
	c := &clock{noon}
	mint := accesstest.NewMint(t, c.now)
	token := mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "sync")
	_, err := mint.Verifier("documents").Verify(t.Context(), token)
	require.ErrorIs(t, err, access.ErrToken)

	v := mint.Verifier("sync")
	c.pass(access.MaxTokenLife + 4*time.Second)
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err, "clocks may be a little apart")
	c.pass(time.Second)
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, access.ErrToken, "remembered tokens expire too")
	_, err = mint.Verifier("sync").Verify(t.Context(), token)
	require.ErrorIs(t, err, access.ErrToken)

	c.t = noon.Add(-6 * time.Second)
	_, err = mint.Verifier("sync").Verify(t.Context(), token)
	require.ErrorIs(t, err, access.ErrToken, "issued in the future")
}

// forge signs whatever a test wants with a key of the mint's auth.
func forge(t *testing.T, key ed25519.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	body := part(header) + "." + part(claims)
	return body + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(body)))
}

func TestN46_ForgedTokensAreRefused(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	_, stranger, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	servicePublic, serviceKey, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	trust := access.NewTrust()
	trust.Add("auth", public)
	trust.Add("gateway", servicePublic)
	verify := func(token string) error {
		_, err := access.NewVerifier("sync", trust, (&clock{noon}).now).Verify(t.Context(), token)
		return err
	}
	kid, serviceKid := access.KeyID(public), access.KeyID(servicePublic)
	header := func(edit func(map[string]any)) map[string]any {
		h := map[string]any{"alg": "EdDSA", "typ": access.TokenType, "kid": kid}
		edit(h)
		return h
	}
	claims := func(edit func(map[string]any)) map[string]any {
		c := map[string]any{
			"iss": "auth", "aud": "sync", "iat": noon.Unix(), "nbf": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
			"prn": map[string]any{"k": "STAFF", "id": "a", "f": accesstest.FirmA, "sid": "s"},
		}
		edit(c)
		return c
	}
	as := func(name string, v any) func(map[string]any) { return func(m map[string]any) { m[name] = v } }
	keep := func(map[string]any) {}
	without := func(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }

	good := forge(t, key, header(keep), claims(keep))
	require.NoError(t, verify(good))
	parts := strings.Split(good, ".")
	mac := hmac.New(sha256.New, public)
	hs := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"alg":"HS256","typ":%q,"kid":%q}`, access.TokenType, kid)))
	mac.Write([]byte(hs + "." + parts[1]))
	none := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"alg":"none","typ":%q,"kid":%q}`, access.TokenType, kid)))

	for name, token := range map[string]string{
		"empty":              "",
		"nonsense":           "a.b.c",
		"too long":           strings.Repeat("a", 8<<10+1),
		"no signature":       parts[0] + "." + parts[1] + ".",
		"alg none":           none + "." + parts[1] + ".",
		"HMAC of the key":    hs + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"another's key":      forge(t, stranger, header(keep), claims(keep)),
		"unknown kid":        forge(t, stranger, header(as("kid", access.KeyID(stranger.Public().(ed25519.PublicKey)))), claims(keep)),
		"no kid":             forge(t, key, header(without("kid")), claims(keep)),
		"own key along":      forge(t, stranger, header(as("jwk", jwk(stranger))), claims(keep)),
		"another type":       forge(t, key, header(as("typ", "JWT")), claims(keep)),
		"no type":            forge(t, key, header(without("typ")), claims(keep)),
		"unknown critical":   forge(t, key, header(as("crit", []string{"x"})), claims(keep)),
		"no issuer":          forge(t, key, header(keep), claims(without("iss"))),
		"unknown issuer":     forge(t, key, header(keep), claims(as("iss", "evil"))),
		"audiences":          forge(t, key, header(keep), claims(as("aud", []string{"sync", "documents"}))),
		"no audience":        forge(t, key, header(keep), claims(without("aud"))),
		"lives too long":     forge(t, key, header(keep), claims(as("exp", noon.Add(3*time.Minute).Unix()))),
		"never ends":         forge(t, key, header(keep), claims(without("exp"))),
		"no issue time":      forge(t, key, header(keep), claims(without("iat"))),
		"not yet":            forge(t, key, header(keep), claims(as("nbf", noon.Add(time.Minute).Unix()))),
		"no principal":       forge(t, key, header(keep), claims(without("prn"))),
		"unknown kind":       forge(t, key, header(keep), claims(as("prn", map[string]any{"k": "ROOT", "id": "a"}))),
		"service as auth":    forge(t, key, header(keep), claims(as("prn", map[string]any{"k": "SERVICE", "id": "sync"}))),
		"person by gateway":  forge(t, serviceKey, header(as("kid", serviceKid)), claims(as("iss", "gateway"))),
		"gateway says auth":  forge(t, serviceKey, header(as("kid", serviceKid)), claims(keep)),
		"JSON serialization": `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	} {
		require.ErrorIs(t, verify(token), access.ErrToken, name)
	}
}

func jwk(key ed25519.PrivateKey) map[string]any {
	x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": x}
}

func TestTokensAreUsedAgainForHalfTheirLife(t *testing.T) {
	c := &clock{noon}
	mint := accesstest.NewMint(t, c.now)
	s := mint.Signer("sync")
	p := access.ServicePrincipal("sync", accesstest.FirmA)
	first, err := s.Token(p, "documents")
	require.NoError(t, err)
	c.pass(59 * time.Second)
	again, err := s.Token(p, "documents")
	require.NoError(t, err)
	require.Equal(t, first, again)
	for _, other := range []struct {
		p        access.Principal
		audience string
	}{{p, "auth"}, {access.ServicePrincipal("sync", accesstest.FirmB), "documents"}, {accesstest.Of(access.Staff, accesstest.FirmA).As("sync"), "documents"}} {
		token, err := s.Token(other.p, other.audience)
		require.NoError(t, err)
		require.NotEqual(t, first, token)
	}
	c.pass(2 * time.Second)
	fresh, err := s.Token(p, "documents")
	require.NoError(t, err)
	require.NotEqual(t, first, fresh)
	c.pass(-24 * time.Hour)
	back, err := s.Token(p, "documents")
	require.NoError(t, err)
	require.NotEqual(t, fresh, back, "after the clock was put back, a token of the future is good for nothing")
	for i := range 3000 {
		_, err := s.Token(access.ServicePrincipal("sync", fmt.Sprint("firm", i)), "documents")
		require.NoError(t, err)
	}
	_, err = s.Token(accesstest.Of(access.Staff, accesstest.FirmA), "documents")
	require.Error(t, err, "what may not be minted is not kept either")
}

func TestAWithdrawnKeyStopsRememberedTokens(t *testing.T) {
	c := &clock{noon}
	mint := accesstest.NewMint(t, c.now)
	token := mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "sync")
	keys := &switchable{KeySource: mint.Trust}
	v := access.NewVerifier("sync", keys, c.now)
	_, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	keys.KeySource = access.NewTrust()
	c.pass(30 * time.Second)
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, access.ErrToken)
}

type switchable struct{ access.KeySource }

func (s *switchable) Key(ctx context.Context, issuer, kid string) (ed25519.PublicKey, error) {
	return s.KeySource.Key(ctx, issuer, kid)
}

func BenchmarkVerify(b *testing.B) {
	mint := accesstest.NewMint(b, nil)
	token := mint.Token(accesstest.Of(access.Staff, accesstest.FirmA), "sync")
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			_, err := mint.Verifier("sync").Verify(context.Background(), token)
			require.NoError(b, err)
		}
	})
	v := mint.Verifier("sync")
	b.Run("seen", func(b *testing.B) {
		for b.Loop() {
			_, err := v.Verify(context.Background(), token)
			require.NoError(b, err)
		}
	})
}

// BenchmarkMint compares a token with its signature alone, which it can not go below.
func BenchmarkMint(b *testing.B) {
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(b, err)
	signer, err := access.NewSigner(access.AuthIssuer, key, time.Now)
	require.NoError(b, err)
	p := accesstest.SteppedUp(accesstest.Of(access.Staff, accesstest.FirmA), time.Now())
	token, err := signer.Mint(p, "sync", time.Minute)
	require.NoError(b, err)
	parts := strings.Split(token, ".")
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(b, err)
	b.Run("mint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := signer.Mint(p, "sync", time.Minute)
			require.NoError(b, err)
		}
	})
	b.Run("signature", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ed25519.Sign(key, body)
		}
	})
}

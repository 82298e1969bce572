package access_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
)

func newKey(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return public, private
}

func TestATrustFileHoldsSeveralKeysOfAnIssuer(t *testing.T) {
	a, _ := newKey(t)
	b, _ := newKey(t)
	out := access.NewTrust()
	out.Add("sync", a)
	out.Add("sync", b)
	file, err := json.Marshal(out)
	require.NoError(t, err)
	in, err := access.ParseTrust(file)
	require.NoError(t, err)
	for _, k := range []ed25519.PublicKey{a, b} {
		got, err := in.Key(t.Context(), "sync", access.KeyID(k))
		require.NoError(t, err)
		require.Equal(t, k, got)
		_, err = in.Key(t.Context(), "auth", access.KeyID(k))
		require.ErrorIs(t, err, access.ErrUnknownKey, "a key is trusted for its issuer only")
	}
}

func TestAWrongTrustFileIsRefusedWhole(t *testing.T) {
	for name, file := range map[string]string{
		"not JSON":    `{`,
		"no keys":     `{"sync": []}`,
		"short key":   `{"sync": [{"public_key": "AAAA"}]}`,
		"not base64":  `{"sync": [{"public_key": "%"}]}`,
		"no issuer":   fmt.Sprintf(`{"": [{"public_key": %q}]}`, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
		"another kid": fmt.Sprintf(`{"sync": [{"kid": "x", "public_key": %q}]}`, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
	} {
		_, err := access.ParseTrust([]byte(file))
		require.Error(t, err, name)
	}
}

func TestAnIdentityKeyIsAPEMFile(t *testing.T) {
	_, private := newKey(t)
	file, err := access.FormatKey(private)
	require.NoError(t, err)
	got, err := access.ParseKey(file)
	require.NoError(t, err)
	require.Equal(t, private, got)
	for _, bad := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		_, err := access.ParseKey([]byte(bad))
		require.Error(t, err)
	}
}

func TestAKeySetIsReadAsAuthWritesIt(t *testing.T) {
	a, private := newKey(t)
	x := base64.RawURLEncoding.EncodeToString(a)
	entry := func(extra string) string { return `{"kty":"OKP","crv":"Ed25519","x":"` + x + `"` + extra + `}` }
	trust, err := access.ParseJWKS("auth", []byte(`{"keys":[`+entry(`,"use":"sig","kid":"k"`)+`]}`))
	require.NoError(t, err)
	_, err = trust.Key(t.Context(), "auth", access.KeyID(a))
	require.NoError(t, err)
	seed := base64.RawURLEncoding.EncodeToString(private.Seed())
	for name, body := range map[string]string{
		"not JSON": `{`, "empty": `{"keys":[]}`, "symmetric": `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"for encryption": `{"keys":[` + entry(`,"use":"enc"`) + `]}`, "a private key": `{"keys":[` + entry(`,"d":"`+seed+`"`) + `]}`,
		"too long": `{"keys":[` + strings.Repeat(" ", 64<<10) + entry("") + `]}`,
	} {
		_, err := access.ParseJWKS("auth", []byte(body))
		require.Error(t, err, name)
	}
}

// jwks is a Fetcher as auth is: it has keys, is asked, and may be down.
type jwks struct {
	mu    sync.Mutex
	trust *access.Trust
	err   error
	asked int
}

func (j *jwks) Keys(context.Context) (*access.Trust, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked++
	return j.trust, j.err
}

func (j *jwks) set(err error, issuer string, keys ...ed25519.PublicKey) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err, j.trust = err, access.NewTrust()
	for _, k := range keys {
		j.trust.Add(issuer, k)
	}
}

func TestFetchedKeysAreRememberedAndFoundAgain(t *testing.T) {
	c, j := &clock{noon}, &jwks{}
	a, _ := newKey(t)
	b, _ := newKey(t)
	j.set(nil, "auth", a)
	keys := access.NewFetched(j, c.now, "auth")
	find := func(k ed25519.PublicKey) error {
		_, err := keys.Key(t.Context(), "auth", access.KeyID(k))
		return err
	}
	for range 5 {
		require.NoError(t, find(a))
	}
	require.Equal(t, 1, j.asked)

	j.set(nil, "auth", a, b)
	require.ErrorIs(t, find(b), access.ErrUnknownKey, "asked a moment ago: made-up ids are no load")
	require.Equal(t, 1, j.asked)
	c.pass(5 * time.Second)
	require.NoError(t, find(b), "a new key is found when it is met")
	require.Equal(t, 2, j.asked)

	j.set(nil, "auth", b)
	require.NoError(t, find(a))
	c.pass(5 * time.Minute)
	require.ErrorIs(t, find(a), access.ErrUnknownKey, "a withdrawn key goes away")
	require.NoError(t, find(b))
}

func TestWhoKeepsTheKeysMayBeDown(t *testing.T) {
	c, j := &clock{noon}, &jwks{}
	a, _ := newKey(t)
	b, _ := newKey(t)
	down := errors.New("down")
	j.set(down, "auth")
	keys := access.NewFetched(j, c.now, "auth")
	_, err := keys.Key(t.Context(), "auth", access.KeyID(a))
	require.ErrorIs(t, err, down)
	require.NotErrorIs(t, err, access.ErrUnknownKey, "it is not known to be unknown")

	j.set(nil, "auth", a)
	c.pass(5 * time.Second)
	_, err = keys.Key(t.Context(), "auth", access.KeyID(a))
	require.NoError(t, err)
	j.set(down, "auth")
	c.pass(time.Hour)
	_, err = keys.Key(t.Context(), "auth", access.KeyID(a))
	require.NoError(t, err, "what is known stays valid")
	_, err = keys.Key(t.Context(), "auth", access.KeyID(b))
	require.Error(t, err)
}

func TestAFetcherIsBelievedForItsIssuersOnly(t *testing.T) {
	j := &jwks{}
	a, _ := newKey(t)
	j.set(nil, "gateway", a)
	keys := access.NewFetched(j, time.Now, "auth")
	_, err := keys.Key(t.Context(), "gateway", access.KeyID(a))
	require.ErrorIs(t, err, access.ErrUnknownKey)
	require.Zero(t, j.asked)
}

func TestACallerThatGoesAwayDoesNotStopTheFetch(t *testing.T) {
	a, _ := newKey(t)
	trust := access.NewTrust()
	trust.Add("auth", a)
	keys := access.NewFetched(access.FetcherFunc(func(ctx context.Context) (*access.Trust, error) {
		return trust, ctx.Err()
	}), time.Now, "auth")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := keys.Key(ctx, "auth", access.KeyID(a))
	require.NoError(t, err)
}

func TestSourcesAreAskedInOrder(t *testing.T) {
	a, _ := newKey(t)
	static, j := access.NewTrust(), &jwks{}
	static.Add("sync", a)
	j.set(errors.New("down"), "auth")
	keys := access.Sources{static, access.NewFetched(j, time.Now, "auth")}
	_, err := keys.Key(t.Context(), "sync", access.KeyID(a))
	require.NoError(t, err)
	_, err = keys.Key(t.Context(), "sync", "x")
	require.ErrorIs(t, err, access.ErrUnknownKey)
	_, err = keys.Key(t.Context(), "auth", "x")
	require.ErrorContains(t, err, "down")
}

func TestARevokedSessionIsRefusedWhileItsTokensLive(t *testing.T) {
	c := &clock{noon}
	r := access.NewRevocations(c.now)
	require.False(t, r.Contains("s"))
	r.Add("s")
	r.Add("")
	require.True(t, r.Contains("s"))
	require.False(t, r.Contains(""), "a service has no session")
	c.pass(access.MaxTokenLife + 10*time.Second)
	require.True(t, r.Contains("s"))
	c.pass(time.Minute)
	require.False(t, r.Contains("s"))
}

func TestWatchersHearOfARevocationOnce(t *testing.T) {
	r := access.NewRevocations(time.Now)
	heard := make(chan string, 10)
	stop := r.Watch("s", func() { heard <- "first" })
	r.Watch("other", func() { heard <- "other" })
	left := r.Watch("s", func() { heard <- "left" })
	left()
	r.Add("s")
	require.Equal(t, "first", <-heard)
	stop()
	r.Watch("s", func() { heard <- "late" })
	require.Equal(t, "late", <-heard, "already revoked")
	r.Add("s")
	require.Empty(t, heard)
}

package passkey_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/auth/internal/passkey"
)

var ours = virtualwebauthn.RelyingParty{Name: "Concord", ID: "app.example.com", Origin: "https://app.example.com"}

func newSite(t testing.TB) *passkey.Site {
	t.Helper()
	public, err := url.Parse("https://app.example.com/")
	require.NoError(t, err)
	site, err := passkey.NewSite(public, "Concord")
	require.NoError(t, err)
	return site
}

// newKey makes a key of full length: the virtual authenticator writes a coordinate that begins with zeros too short.
func newKey() virtualwebauthn.Credential {
	const full = 77 // bytes of a COSE key on P-256
	for {
		if key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(key.Key.AttestationData()) == full {
			return key
		}
	}
}

// enrolled is somebody with a passkey, and the authenticator that holds it.
type enrolled struct {
	site   *passkey.Site
	person passkey.Person
	device virtualwebauthn.Authenticator
	key    virtualwebauthn.Credential
}

func enrol(t testing.TB, options virtualwebauthn.AuthenticatorOptions) *enrolled {
	t.Helper()
	e := &enrolled{site: newSite(t), person: passkey.Person{Handle: passkey.NewHandle(), Name: "kim@example.com", DisplayName: "Kim"}}
	options.UserHandle = e.person.Handle
	e.device, e.key = virtualwebauthn.NewAuthenticatorWithOptions(options), newKey()
	asked, err := e.site.Enrol(e.person)
	require.NoError(t, err)
	made, err := e.site.Enrolled(e.person, asked.Challenge, attest(t, ours, e.device, e.key, asked.Options))
	require.NoError(t, err)
	e.person.Passkeys = append(e.person.Passkeys, made)
	return e
}

func attest(t testing.TB, rp virtualwebauthn.RelyingParty, device virtualwebauthn.Authenticator, key virtualwebauthn.Credential, options string) string {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAttestationOptions(options)
	require.NoError(t, err)
	return virtualwebauthn.CreateAttestationResponse(rp, device, key, *parsed)
}

func (e *enrolled) assert(t testing.TB, rp virtualwebauthn.RelyingParty, options string) passkey.Answer {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAssertionOptions(options)
	require.NoError(t, err)
	answer, err := passkey.Read(virtualwebauthn.CreateAssertionResponse(rp, e.device, e.key, *parsed))
	require.NoError(t, err)
	return answer
}

func (e *enrolled) check(challenge []byte, verify bool, a passkey.Answer) (passkey.Shown, error) {
	return e.site.Check(&e.person.Passkeys[0], e.person.Handle, challenge, verify, a)
}

func why(t testing.TB, err error) passkey.Reason {
	t.Helper()
	var invalid *passkey.InvalidError
	require.ErrorAs(t, err, &invalid)
	return invalid.Why
}

func TestEnrolAsksForWhatIsNeededAndNoMore(t *testing.T) {
	e := enrol(t, virtualwebauthn.AuthenticatorOptions{})
	asked, err := e.site.Enrol(e.person)
	require.NoError(t, err)
	var options struct {
		RP                 struct{ ID string }
		User               struct{ ID, Name, DisplayName string }
		Challenge          string
		Attestation        string
		Timeout            int
		PubKeyCredParams   []struct{ Alg int }
		ExcludeCredentials []struct{ ID string }

		AuthenticatorSelection struct{ ResidentKey, UserVerification string }
	}
	require.NoError(t, json.Unmarshal([]byte(asked.Options), &options))
	require.Equal(t, "app.example.com", options.RP.ID)
	require.Contains(t, []string{"", "none"}, options.Attestation)
	require.Equal(t, "preferred", options.AuthenticatorSelection.ResidentKey)
	require.Equal(t, "preferred", options.AuthenticatorSelection.UserVerification)
	require.Equal(t, 300_000, options.Timeout)
	require.Equal(t, base64.RawURLEncoding.EncodeToString(e.person.Handle), options.User.ID)
	require.Equal(t, base64.RawURLEncoding.EncodeToString(e.person.Passkeys[0].CredentialID), options.ExcludeCredentials[0].ID)
	challenge, err := base64.RawURLEncoding.DecodeString(options.Challenge)
	require.NoError(t, err)
	require.Equal(t, asked.Challenge, challenge)
	require.Len(t, challenge, 32)
	again, err := e.site.Enrol(e.person)
	require.NoError(t, err)
	require.NotEqual(t, asked.Challenge, again.Challenge)
}

func TestAnAnswerIsTakenFromOurOriginToItsOwnChallenge(t *testing.T) {
	e := enrol(t, virtualwebauthn.AuthenticatorOptions{})
	asked, err := e.site.Ask(e.person, false, nil)
	require.NoError(t, err)
	e.key.Counter = 1
	shown, err := e.check(asked.Challenge, false, e.assert(t, ours, asked.Options))
	require.NoError(t, err)
	require.True(t, shown.Verified)
	require.EqualValues(t, 1, shown.Passkey.SignCount)

	other, err := e.site.Ask(e.person, false, nil)
	require.NoError(t, err)
	_, err = e.check(other.Challenge, false, e.assert(t, ours, asked.Options))
	require.Equal(t, passkey.OtherChallenge, why(t, err))

	for name, rp := range map[string]virtualwebauthn.RelyingParty{
		"another origin":          {ID: ours.ID, Origin: "https://app.example.com.evil.example"},
		"another port":            {ID: ours.ID, Origin: "https://app.example.com:8443"},
		"a subdomain":             {ID: ours.ID, Origin: "https://x.app.example.com"},
		"no TLS":                  {ID: ours.ID, Origin: "http://app.example.com"},
		"another relying party":   {ID: "example.com", Origin: ours.Origin},
		"an app that looks alike": {ID: ours.ID, Origin: "android:apk-key-hash:abc"},
	} {
		_, err = e.check(asked.Challenge, false, e.assert(t, rp, asked.Options))
		require.Equal(t, passkey.OtherSite, why(t, err), name)
	}
}

func TestAnEnrolmentIsBoundToOriginAndChallengeToo(t *testing.T) {
	site, device := newSite(t), virtualwebauthn.NewAuthenticator()
	person := passkey.Person{Handle: passkey.NewHandle(), Name: "kim@example.com", DisplayName: "Kim"}
	key := newKey()
	asked, err := site.Enrol(person)
	require.NoError(t, err)
	other, err := site.Enrol(person)
	require.NoError(t, err)
	_, err = site.Enrolled(person, other.Challenge, attest(t, ours, device, key, asked.Options))
	require.Equal(t, passkey.OtherChallenge, why(t, err))
	elsewhere := virtualwebauthn.RelyingParty{ID: ours.ID, Origin: "https://evil.example"}
	_, err = site.Enrolled(person, asked.Challenge, attest(t, elsewhere, device, key, asked.Options))
	require.Equal(t, passkey.OtherSite, why(t, err))
	absent := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserNotPresent: true})
	_, err = site.Enrolled(person, asked.Challenge, attest(t, ours, absent, key, asked.Options))
	require.Equal(t, passkey.Unverified, why(t, err))
}

func TestAPasskeyAloneHasToVerifyItsHolder(t *testing.T) {
	e := enrol(t, virtualwebauthn.AuthenticatorOptions{UserNotVerified: true})
	asked, err := e.site.AskAnybody(nil)
	require.NoError(t, err)
	require.Contains(t, asked.Options, `"userVerification":"required"`)
	require.NotContains(t, asked.Options, "allowCredentials")
	_, err = e.check(asked.Challenge, true, e.assert(t, ours, asked.Options))
	require.Equal(t, passkey.Unverified, why(t, err))

	shown, err := e.check(asked.Challenge, false, e.assert(t, ours, asked.Options)) // after a password it is enough
	require.NoError(t, err)
	require.False(t, shown.Verified)
}

func TestACounterThatDoesNotGoForwardIsRefused(t *testing.T) {
	e := enrol(t, virtualwebauthn.AuthenticatorOptions{})
	asked, err := e.site.Ask(e.person, false, nil)
	require.NoError(t, err)
	e.key.Counter = 7
	shown, err := e.check(asked.Challenge, false, e.assert(t, ours, asked.Options))
	require.NoError(t, err)
	e.person.Passkeys[0] = shown.Passkey
	for _, counter := range []uint32{7, 6, 0} {
		e.key.Counter = counter
		shown, err = e.check(asked.Challenge, false, e.assert(t, ours, asked.Options))
		require.ErrorIs(t, err, passkey.ErrRefused)
		require.True(t, shown.Copied)
	}
}

func TestASyncedPasskeyHasNoCounter(t *testing.T) {
	e := enrol(t, virtualwebauthn.AuthenticatorOptions{BackupEligible: true, BackupState: true})
	require.True(t, e.person.Passkeys[0].Synced)
	require.True(t, e.person.Passkeys[0].BackedUp)
	asked, err := e.site.Ask(e.person, false, nil)
	require.NoError(t, err)
	for range 3 {
		e.device.Options.BackupState = !e.device.Options.BackupState
		shown, err := e.check(asked.Challenge, false, e.assert(t, ours, asked.Options))
		require.NoError(t, err)
		require.Equal(t, e.device.Options.BackupState, shown.Passkey.BackedUp)
	}
	e.device.Options.BackupEligible, e.device.Options.BackupState = false, false // it can't change its kind
	_, err = e.check(asked.Challenge, false, e.assert(t, ours, asked.Options))
	require.ErrorIs(t, err, passkey.ErrRefused)
}

func TestUnknownAndForeignPasskeysAreRefusedAlike(t *testing.T) {
	e, stranger := enrol(t, virtualwebauthn.AuthenticatorOptions{}), enrol(t, virtualwebauthn.AuthenticatorOptions{})
	asked, err := e.site.AskAnybody(nil)
	require.NoError(t, err)
	answer := stranger.assert(t, ours, asked.Options)
	_, err = e.site.Check(nil, nil, asked.Challenge, true, answer)
	require.Equal(t, passkey.ErrRefused, err, "unknown")
	_, err = e.site.Check(&e.person.Passkeys[0], e.person.Handle, asked.Challenge, true, answer)
	require.Equal(t, passkey.ErrRefused, err, "another one's handle")
	stranger.device.Options.UserHandle, stranger.key.ID = e.person.Handle, e.key.ID
	_, err = e.check(asked.Challenge, true, stranger.assert(t, ours, asked.Options))
	require.Equal(t, passkey.ErrRefused, err, "another key")
}

func TestAnswersFromOutsideAreReadWithoutTrust(t *testing.T) {
	e := enrol(t, virtualwebauthn.AuthenticatorOptions{})
	asked, err := e.site.Enrol(e.person)
	require.NoError(t, err)
	good := attest(t, ours, e.device, e.key, asked.Options)
	for name, text := range malformed(good) {
		_, err := e.site.Enrolled(e.person, asked.Challenge, text)
		require.Equal(t, passkey.Malformed, why(t, err), name)
		_, err = passkey.Read(text)
		require.Equal(t, passkey.Malformed, why(t, err), name)
	}
	_, err = passkey.Read(strings.Repeat(" ", 17<<10))
	require.Equal(t, passkey.Malformed, why(t, err))
}

func malformed(good string) map[string]string {
	return map[string]string{
		"empty": "", "null": "null", "a number": "7", "a list": "[]", "nothing in it": "{}", "cut": good[:len(good)/2],
		"followed by more": good + "{}", "no base64": `{"id":"*","rawId":"*","type":"public-key","response":{}}`,
		"deep": strings.Repeat(`{"response":`, 5000), "not UTF-8": "{\"id\":\"\xff\"}", "too long": `"` + strings.Repeat("a", 70<<10) + `"`,
	}
}

func TestABareNetworkAddressHasNoPasskeys(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:8080", "http://[::1]:8080"} {
		public, err := url.Parse(address)
		require.NoError(t, err)
		_, err = passkey.NewSite(public, "Concord")
		require.ErrorIs(t, err, passkey.ErrNoHost)
	}
	public, err := url.Parse("http://localhost:8080")
	require.NoError(t, err)
	_, err = passkey.NewSite(public, "Concord")
	require.NoError(t, err)
}

func TestHandlesSayNothing(t *testing.T) {
	require.Len(t, passkey.NewHandle(), passkey.HandleSize)
	require.NotEqual(t, sha256.Sum256(passkey.NewHandle()), sha256.Sum256(passkey.NewHandle()))
}

func FuzzEnrolled(f *testing.F) {
	e := enrol(f, virtualwebauthn.AuthenticatorOptions{})
	asked, err := e.site.Enrol(e.person)
	require.NoError(f, err)
	f.Add(attest(f, ours, virtualwebauthn.NewAuthenticator(), e.key, asked.Options))
	f.Add(attest(f, ours, e.device, virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA), asked.Options))
	f.Fuzz(func(t *testing.T, text string) {
		made, err := e.site.Enrolled(e.person, asked.Challenge, text)
		if err != nil {
			why(t, err)
			return
		}
		require.NotEmpty(t, made.CredentialID)
		require.NotEmpty(t, made.PublicKey)
	})
}

func FuzzRead(f *testing.F) {
	e := enrol(f, virtualwebauthn.AuthenticatorOptions{})
	asked, err := e.site.AskAnybody(nil)
	require.NoError(f, err)
	parsed, err := virtualwebauthn.ParseAssertionOptions(asked.Options)
	require.NoError(f, err)
	good := virtualwebauthn.CreateAssertionResponse(ours, e.device, e.key, *parsed)
	f.Add(good)
	f.Fuzz(func(t *testing.T, text string) {
		answer, err := passkey.Read(text)
		if err != nil {
			why(t, err)
			return
		}
		if _, err = e.check(asked.Challenge, true, answer); err != nil && err != passkey.ErrRefused {
			why(t, err)
		}
	})
}

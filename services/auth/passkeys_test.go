package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// The suite's public address is https://app.example.com.
var (
	relyingParty = virtualwebauthn.RelyingParty{Name: "Concord", ID: "app.example.com", Origin: "https://app.example.com"}
	elsewhere    = virtualwebauthn.RelyingParty{Name: "Concord", ID: "app.example.com", Origin: "https://app.example.com.evil.example"}
)

// device is an authenticator with a passkey of somebody.
type device struct {
	t        testing.TB
	options  virtualwebauthn.AuthenticatorOptions
	key      virtualwebauthn.Credential
	enrolled *authv1.Factor
	codes    []string
}

func newDevice(t testing.TB) *device {
	const full = 77 // bytes of a COSE key on P-256; the authenticator writes a coordinate that begins with zeros too short
	d := &device{t: t, key: virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)}
	for len(d.key.Key.AttestationData()) != full {
		d.key = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	}
	return d
}

func (d *device) authenticator() virtualwebauthn.Authenticator {
	return virtualwebauthn.NewAuthenticatorWithOptions(d.options)
}

// make answers the options of an enrolment.
func (d *device) make(rp virtualwebauthn.RelyingParty, options string) string {
	asked, err := virtualwebauthn.ParseAttestationOptions(options)
	require.NoError(d.t, err)
	d.options.UserHandle = []byte(asked.UserID)
	return virtualwebauthn.CreateAttestationResponse(rp, d.authenticator(), d.key, *asked)
}

// show answers the options of a challenge.
func (d *device) show(rp virtualwebauthn.RelyingParty, options string) string {
	asked, err := virtualwebauthn.ParseAssertionOptions(options)
	require.NoError(d.t, err)
	return virtualwebauthn.CreateAssertionResponse(rp, d.authenticator(), d.key, *asked)
}

// enrolPasskey gives somebody who is signed in strongly a passkey.
func (s *suite) enrolPasskey(p *person, d *device) {
	s.t.Helper()
	start, err := s.factors().StartPasskeyEnrolment(s.as(p.token), &authv1.StartPasskeyEnrolmentRequest{})
	require.NoError(s.t, err)
	done, err := s.factors().FinishPasskeyEnrolment(s.as(p.token), &authv1.FinishPasskeyEnrolmentRequest{
		Enrolment: start.GetEnrolment(), DisplayName: "Laptop", PasskeyAttestation: d.make(relyingParty, start.GetPasskeyOptions()),
	})
	require.NoError(s.t, err)
	d.enrolled, d.codes = done.GetFactor(), done.GetRecoveryCodes()
}

// alone asks for a challenge that a passkey answers alone.
func (s *suite) alone() *authv1.Challenge {
	s.t.Helper()
	resp, err := s.signIn.StartPasskeySignIn(s.nobody("192.0.2.7"), &authv1.StartPasskeySignInRequest{})
	require.NoError(s.t, err)
	return resp.GetChallenge()
}

func (s *suite) verifyPasskey(challenge, assertion string) (*authv1.VerifyFactorResponse, error) {
	return s.signIn.VerifyFactor(s.nobody("192.0.2.7"), &authv1.VerifyFactorRequest{
		Challenge: challenge, Proof: &authv1.VerifyFactorRequest_PasskeyAssertion{PasskeyAssertion: assertion},
	})
}

func TestN28_APasskeySignsInAloneOnceAndForItsOwnChallenge(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin, d := s.strong(), newDevice(t)
		s.enrolPasskey(admin, d)
		require.Len(t, d.codes, 10, "the first strong factor brings recovery codes")

		first, second := s.alone(), s.alone()
		require.Equal(t, []authv1.FactorKind{authv1.FactorKind_FACTOR_KIND_PASSKEY}, first.GetFactors())
		var asked struct{ Challenge, RpID, UserVerification string }
		require.NoError(t, json.Unmarshal([]byte(first.GetPasskeyOptions()), &asked))
		random, err := base64.RawURLEncoding.DecodeString(asked.Challenge)
		require.NoError(t, err)
		require.Len(t, random, 32, "256 random bits")
		require.NotEqual(t, first.GetPasskeyOptions(), second.GetPasskeyOptions())
		require.Equal(t, "required", asked.UserVerification)
		require.LessOrEqual(t, first.GetExpireTime().AsTime().Sub(s.clock.Now()), 5*time.Minute)

		_, err = s.verifyPasskey(second.GetChallenge(), d.show(relyingParty, first.GetPasskeyOptions()))
		is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID)

		answer := d.show(relyingParty, first.GetPasskeyOptions())
		done, err := s.verifyPasskey(first.GetChallenge(), answer)
		require.NoError(t, err)
		require.Equal(t, admin.account, done.GetSession().GetAccount())
		require.Equal(t, authv1.Strength_STRENGTH_STRONG, done.GetSession().GetStrength())
		require.Equal(t, []string{"hwk", "user"}, done.GetSession().GetMethods())
		_, err = s.verifyPasskey(first.GetChallenge(), answer)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
	})
}

// Of many who answer one challenge with one answer at once, one is let in.
func TestN28_AnAnswerOpensOneSession(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin, d := s.strong(), newDevice(t)
		s.enrolPasskey(admin, d)
		c := s.alone()
		answer := d.show(relyingParty, c.GetPasskeyOptions())
		var work sync.WaitGroup
		opened := make(chan string, 8)
		for range cap(opened) {
			work.Go(func() {
				if done, err := s.verifyPasskey(c.GetChallenge(), answer); err == nil {
					opened <- done.GetSession().GetName()
				}
			})
		}
		work.Wait()
		require.Len(t, opened, 1)
	})
}

func TestN28_AChallengeLivesFiveMinutes(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	start, err := s.factors().StartPasskeyEnrolment(s.as(admin.token), &authv1.StartPasskeyEnrolmentRequest{})
	require.NoError(t, err)
	s.clock.forward(5 * time.Minute)
	_, err = s.factors().FinishPasskeyEnrolment(s.as(admin.token), &authv1.FinishPasskeyEnrolmentRequest{
		Enrolment: start.GetEnrolment(), DisplayName: "Laptop", PasskeyAttestation: d.make(relyingParty, start.GetPasskeyOptions()),
	})
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ENROLMENT_EXPIRED)
	s.enrolPasskey(admin, d)

	alone := s.alone()
	second := s.challengeOf(admin)
	s.clock.forward(5 * time.Minute)
	_, err = s.verifyPasskey(alone.GetChallenge(), d.show(relyingParty, alone.GetPasskeyOptions()))
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED)
	_, err = s.verifyPasskey(second.GetChallenge(), d.show(relyingParty, second.GetPasskeyOptions()))
	is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID)
}

// challengeOf is the challenge after somebody's password.
func (s *suite) challengeOf(p *person) *authv1.Challenge {
	s.t.Helper()
	resp, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: p.email, Password: passphrase, Firm: p.firm})
	require.NoError(s.t, err)
	require.NotNil(s.t, resp.GetChallenge())
	return resp.GetChallenge()
}

func TestN28_AnotherOriginIsRefused(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	start, err := s.factors().StartPasskeyEnrolment(s.as(admin.token), &authv1.StartPasskeyEnrolmentRequest{})
	require.NoError(t, err)
	for _, rp := range []virtualwebauthn.RelyingParty{elsewhere, {ID: "example.com", Origin: relyingParty.Origin}} {
		_, err = s.factors().FinishPasskeyEnrolment(s.as(admin.token), &authv1.FinishPasskeyEnrolmentRequest{
			Enrolment: start.GetEnrolment(), DisplayName: "Laptop", PasskeyAttestation: d.make(rp, start.GetPasskeyOptions()),
		})
		is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID)
	}
	s.enrolPasskey(admin, d)
	for _, rp := range []virtualwebauthn.RelyingParty{elsewhere, {ID: "example.com", Origin: relyingParty.Origin}} {
		c := s.alone()
		_, err = s.verifyPasskey(c.GetChallenge(), d.show(rp, c.GetPasskeyOptions()))
		is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID)
	}
}

func TestN28_AloneThePasskeyVerifiesItsHolder(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	s.enrolPasskey(admin, d)
	d.options.UserNotVerified = true
	c := s.alone()
	_, err := s.verifyPasskey(c.GetChallenge(), d.show(relyingParty, c.GetPasskeyOptions()))
	is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID)

	after := s.challengeOf(admin) // a password was shown: presence is enough
	require.Empty(t, after.GetDestinationHint(), "nothing is sent to who has a passkey")
	done, err := s.verifyPasskey(after.GetChallenge(), d.show(relyingParty, after.GetPasskeyOptions()))
	require.NoError(t, err)
	require.Equal(t, authv1.Strength_STRENGTH_STRONG, done.GetSession().GetStrength())
	require.Equal(t, []string{"pwd", "hwk"}, done.GetSession().GetMethods())
}

func TestN28_ACounterThatGoesBackIsRefusedAndLogged(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	s.enrolPasskey(admin, d)
	for _, counter := range []uint32{5, 9} {
		d.key.Counter = counter
		c := s.alone()
		_, err := s.verifyPasskey(c.GetChallenge(), d.show(relyingParty, c.GetPasskeyOptions()))
		require.NoError(t, err)
	}
	require.NotContains(t, s.logs.String(), "counter of a passkey")
	d.key.Counter = 9
	c := s.alone()
	_, err := s.verifyPasskey(c.GetChallenge(), d.show(relyingParty, c.GetPasskeyOptions()))
	is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
	require.Contains(t, s.logs.String(), "counter of a passkey")
}

// Unknown, removed and foreign passkeys, and a wrong signature, are refused in the same words.
func TestN28_WhatFitsNoPasskeyIsRefusedAlike(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	s.enrolPasskey(admin, d)
	stranger, forged, noName := newDevice(t), newDevice(t), newDevice(t)
	stranger.options.UserHandle = []byte(strings.Repeat("x", 64))
	forged.options.UserHandle, forged.key.ID = d.options.UserHandle, d.key.ID
	var said []string
	for _, other := range []*device{stranger, forged, noName} {
		c := s.alone()
		_, err := s.verifyPasskey(c.GetChallenge(), other.show(relyingParty, c.GetPasskeyOptions()))
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		said = append(said, err.Error())
	}
	require.Equal(t, []string{said[0], said[0], said[0]}, said)
}

func TestN28_MalformedAnswersAreTold(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	start, err := s.factors().StartPasskeyEnrolment(s.as(admin.token), &authv1.StartPasskeyEnrolmentRequest{})
	require.NoError(t, err)
	for _, text := range []string{"{}", "null", "[]", `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`, strings.Repeat("[", 9000)} {
		c := s.alone()
		_, err := s.verifyPasskey(c.GetChallenge(), text)
		is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID)
		_, err = s.factors().FinishPasskeyEnrolment(s.as(admin.token), &authv1.FinishPasskeyEnrolmentRequest{
			Enrolment: start.GetEnrolment(), DisplayName: "Laptop", PasskeyAttestation: text,
		})
		is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID)
	}
}

// What authenticators keep says nothing about the account, and one that has a passkey of it makes no second.
func TestPasskeyHandlesAreRandom(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	s.enrolPasskey(admin, d)
	start, err := s.factors().StartPasskeyEnrolment(s.as(admin.token), &authv1.StartPasskeyEnrolmentRequest{})
	require.NoError(t, err)
	asked, err := virtualwebauthn.ParseAttestationOptions(start.GetPasskeyOptions())
	require.NoError(t, err)
	require.True(t, d.key.IsExcludedForAttestation(*asked))
	require.Len(t, asked.UserID, 64)
	require.Equal(t, string(d.options.UserHandle), asked.UserID, "one handle for all passkeys of an account")
	require.NotContains(t, asked.UserID, admin.account[len(admin.account)-36:])

	_, err = s.factors().FinishPasskeyEnrolment(s.as(admin.token), &authv1.FinishPasskeyEnrolmentRequest{
		Enrolment: start.GetEnrolment(), DisplayName: "Again", PasskeyAttestation: d.make(relyingParty, start.GetPasskeyOptions()),
	})
	is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID)
}

// A synced passkey counts no signatures, and is said to be synced: it reaches the second level of assurance, not the third.
// Whoever is asked for a PIN may enrol one: a way that can't be phished is offered to everybody.
func TestN29_SyncedPasskeysAreTakenAndNamed(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	d.options.BackupEligible, d.options.BackupState = true, true
	s.enrolPasskey(admin, d)
	require.True(t, d.enrolled.GetSynced())
	for range 3 { // the counter stays 0
		c := s.alone()
		done, err := s.verifyPasskey(c.GetChallenge(), d.show(relyingParty, c.GetPasskeyOptions()))
		require.NoError(t, err)
		require.Equal(t, []string{"swk", "user"}, done.GetSession().GetMethods())
	}
	list, err := s.factors().ListFactors(s.as(admin.token), &authv1.ListFactorsRequest{})
	require.NoError(t, err)
	found := false
	for _, f := range list.GetFactors() {
		found = found || (f.GetName() == d.enrolled.GetName() && f.GetSynced() && f.GetAllowed() && f.GetLastUseTime() != nil)
	}
	require.True(t, found, list)
}

// A removed passkey opens nothing any more.
func TestARemovedPasskeyIsUnknown(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	s.enrolPasskey(admin, d)
	c := s.alone()
	answer := d.show(relyingParty, c.GetPasskeyOptions())
	_, err := s.factors().RemoveFactor(s.as(admin.token), &authv1.RemoveFactorRequest{Name: d.enrolled.GetName()})
	require.NoError(t, err)
	_, err = s.verifyPasskey(c.GetChallenge(), answer)
	is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
	require.NotContains(t, s.challengeOf(admin).GetFactors(), authv1.FactorKind_FACTOR_KIND_PASSKEY)
}

// A passkey with user verification steps a session up without the password; one without does not.
func TestAPasskeyStepsUpAlone(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	s.enrolPasskey(admin, d)
	s.clock.forward(11 * time.Minute)
	d.options.UserNotVerified = true
	for _, verified := range []bool{false, true} {
		d.options.UserNotVerified = !verified
		start, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{})
		require.NoError(t, err)
		done, err := s.sessions.VerifyStepUp(s.as(admin.token), &authv1.VerifyStepUpRequest{
			Challenge: start.GetChallenge().GetChallenge(), PasskeyAssertion: d.show(relyingParty, start.GetChallenge().GetPasskeyOptions()),
		})
		if !verified {
			is(t, err, codes.InvalidArgument, authv1.ErrorReason_ERROR_REASON_PASSKEY_INVALID)
			continue
		}
		require.NoError(t, err)
		require.NotNil(t, done.GetSession().GetStepUpExpireTime())
	}
}

// What the firm forbids is not taken, though it was enrolled and asked for before.
func TestAFirmMayForbidPasskeys(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	s.enrolPasskey(admin, d)
	c := s.alone()
	answer := d.show(relyingParty, c.GetPasskeyOptions())
	s.changePolicy(admin, func(p *authv1.SecurityPolicy) { p.PasskeyAloneForbidden = true })
	_, err := s.verifyPasskey(c.GetChallenge(), answer)
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED)
	after := s.challengeOf(admin)
	require.Contains(t, after.GetFactors(), authv1.FactorKind_FACTOR_KIND_PASSKEY, "after the password it is taken")

	s.changePolicy(admin, func(p *authv1.SecurityPolicy) {
		p.ForbiddenFactors = []authv1.FactorKind{authv1.FactorKind_FACTOR_KIND_PASSKEY}
	})
	_, err = s.verifyPasskey(after.GetChallenge(), d.show(relyingParty, after.GetPasskeyOptions()))
	require.Error(t, err)
	require.NotContains(t, s.challengeOf(admin).GetFactors(), authv1.FactorKind_FACTOR_KIND_PASSKEY)
	_, err = s.factors().StartPasskeyEnrolment(s.as(admin.token), &authv1.StartPasskeyEnrolmentRequest{})
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED)
}

// An account keeps a bounded number of passkeys, and one authenticator's is one person's.
func TestPasskeysAreBounded(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	for range 20 {
		s.enrolPasskey(admin, newDevice(t))
	}
	_, err := s.factors().StartPasskeyEnrolment(s.as(admin.token), &authv1.StartPasskeyEnrolmentRequest{})
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED)
}

// At a network address nobody has passkeys, and everything else goes on.
func TestWithoutAHostNameThereAreNoPasskeys(t *testing.T) {
	s := onSQLite(t, options{run: true, environ: []string{"CONCORD_AUTH_PUBLIC_URL=http://127.0.0.1:8080"}})
	admin := s.strong()
	_, err := s.signIn.StartPasskeySignIn(s.nobody("192.0.2.7"), &authv1.StartPasskeySignInRequest{})
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED)
	_, err = s.factors().StartPasskeyEnrolment(s.as(admin.token), &authv1.StartPasskeyEnrolmentRequest{})
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED)
}

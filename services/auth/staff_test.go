package auth_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
)

// firmOfTwo is a firm that enforces a second factor, with its administrator, freshly confirmed, and somebody else.
func (s *suite) firmOfTwo(role authv1.Role, mobile string) (admin, mo *person) {
	s.t.Helper()
	admin = s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	s.enforce(admin)
	mo = s.hire(admin, "mo@harbour.example", mobile, role)
	s.signInAs(mo)
	return admin, mo
}

func (s *suite) staff(admin *person, name string) *authv1.Staff {
	s.t.Helper()
	resp, err := s.accounts.GetStaff(s.as(admin.token), &authv1.GetStaffRequest{Name: name})
	require.NoError(s.t, err)
	return resp.GetStaff()
}

func TestStaffIsChangedAsItWasRead(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin, mo := s.firmOfTwo(authv1.Role_ROLE_STAFF, newMobile())
		before := s.staff(admin, mo.account)
		require.NotEmpty(t, before.GetEtag())
		update := func(req *authv1.UpdateStaffRequest) (*authv1.Staff, error) {
			req.Name = mo.account
			resp, err := s.accounts.UpdateStaff(s.as(admin.token), req)
			return resp.GetStaff(), err
		}
		_, err := update(&authv1.UpdateStaffRequest{DisplayName: "Mo Miller", Etag: "another"})
		is(t, err, codes.Aborted, authv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH)
		req := &authv1.UpdateStaffRequest{DisplayName: " Mo Miller ", Etag: before.GetEtag(), RequestId: requestID()}
		changed, err := update(req)
		require.NoError(t, err)
		require.Equal(t, "Mo Miller", changed.GetDisplayName())
		require.Equal(t, before.GetMobile(), changed.GetMobile(), "what is left out stays")
		require.Equal(t, before.GetRole(), changed.GetRole())
		require.True(t, changed.GetMobileValidated())
		again, err := update(req)
		require.NoError(t, err, "the same request is done once")
		require.Equal(t, changed.GetEtag(), again.GetEtag())
		_, err = update(&authv1.UpdateStaffRequest{DisplayName: "Mo", Etag: before.GetEtag()})
		is(t, err, codes.Aborted, authv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH)
		_, err = s.resolve(mo.token, "auth")
		require.NoError(t, err, "another name ends no session")
		for _, bad := range []*authv1.UpdateStaffRequest{
			{DisplayName: "Mo\u202eelliM", Etag: changed.GetEtag()}, {Mobile: "0491 570 156", Etag: changed.GetEtag()},
			{Mobile: newMobile(), RemoveMobile: true, Etag: changed.GetEtag()}, {Role: 9, Etag: changed.GetEtag()},
		} {
			_, err = update(bad)
			require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code(), "%v", bad)
		}
		_, err = s.accounts.UpdateStaff(s.as(admin.token), &authv1.UpdateStaffRequest{Name: admin.firm + "/staff/" + uuid.NewString()})
		require.Equal(t, codes.NotFound, rpcerr.From(err).Code())
	})
}

func TestAnotherRoleEndsTheSessions(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin, mo := s.firmOfTwo(authv1.Role_ROLE_ADMINISTRATOR, newMobile())
		change := func(p *person, role authv1.Role) error {
			_, err := s.accounts.UpdateStaff(s.as(admin.token), &authv1.UpdateStaffRequest{
				Name: p.account, Role: role, Etag: s.staff(admin, p.account).GetEtag(),
			})
			return err
		}
		require.NoError(t, change(mo, authv1.Role_ROLE_READ_ONLY))
		_, err := s.resolve(mo.token, "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		is(t, change(admin, authv1.Role_ROLE_STAFF), codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_LAST_ADMINISTRATOR)
		require.Equal(t, authv1.Role_ROLE_ADMINISTRATOR, s.staff(admin, admin.account).GetRole())
	})
}

// N20: a mobile that somebody else entered is no factor before its first sign-in, who changes it has confirmed anew, and
// both the person and the mobile before are told.
func TestN20_AnotherMobileIsValidatedAnewAndTheOldOneIsTold(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin, mo := s.firmOfTwo(authv1.Role_ROLE_STAFF, newMobile())
		former := mo.mobile
		mo.mobile = newMobile()
		s.inbox.seen()
		req := &authv1.UpdateStaffRequest{Name: mo.account, Mobile: mo.mobile, Etag: s.staff(admin, mo.account).GetEtag()}
		changed, err := s.accounts.UpdateStaff(s.as(admin.token), req)
		require.NoError(t, err)
		require.Equal(t, mo.mobile, changed.GetStaff().GetMobile())
		require.False(t, changed.GetStaff().GetMobileValidated())
		require.NotContains(t, s.inbox.next(former).Text, mo.mobile, "the new number is nobody else's business")
		require.Contains(t, s.inbox.next(mo.email).Text, "changed the mobile number")
		s.inbox.seen()
		s.clock.forward(time.Minute) // text messages of one account have half a minute between them
		resp, err := s.trySignIn(mo.email, passphrase, "192.0.2.7")
		require.NoError(t, err)
		require.Equal(t, authv1.Channel_CHANNEL_SMS_AND_EMAIL, resp.GetChallenge().GetChannel())
		_, err = s.signIn.VerifyPin(s.nobody("192.0.2.7"), s.answer(mo, resp.GetChallenge()))
		require.NoError(t, err)
		require.True(t, s.staff(admin, mo.account).GetMobileValidated())

		s.clock.forward(11 * time.Minute) // the confirmation counts no more
		req.Etag, req.Mobile = s.staff(admin, mo.account).GetEtag(), newMobile()
		_, err = s.accounts.UpdateStaff(s.as(admin.token), req)
		require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
	})
}

// N10: an administrator starts it and never chooses or learns the password; the code handed over is good for the sign-in
// after it, once.
func TestN10_AnAdministratorResetsWithoutLearningThePassword(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin, mo := s.firmOfTwo(authv1.Role_ROLE_STAFF, "")
		s.inbox.seen()
		req := &authv1.ResetStaffRequest{Name: mo.account, Password: true, RequestId: requestID()}
		reset, err := s.accounts.ResetStaff(s.as(admin.token), req)
		require.NoError(t, err)
		require.NotEmpty(t, reset.GetRecoveryCode())
		again, err := s.accounts.ResetStaff(s.as(admin.token), req)
		require.NoError(t, err)
		require.Empty(t, again.GetRecoveryCode(), "shown once")
		_, err = s.resolve(mo.token, "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		_, err = s.trySignIn(mo.email, passphrase, "192.0.2.7")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		var code string
		s.until(func() bool { code = resetPattern.FindString(s.inbox.all(mo.email)); return code != "" })
		require.NotContains(t, s.inbox.all(mo.email), reset.GetRecoveryCode(), "the two go by different ways")
		require.NoError(t, s.finishReset(code, anotherPass))

		started, err := s.trySignIn(mo.email, anotherPass, "192.0.2.7")
		require.NoError(t, err)
		require.Equal(t, []authv1.FactorKind{authv1.FactorKind_FACTOR_KIND_RECOVERY_CODE}, started.GetChallenge().GetFactors(),
			"no PIN goes to the mailbox that brought the password")
		_, err = s.signIn.VerifyFactor(s.nobody("192.0.2.7"), &authv1.VerifyFactorRequest{
			Challenge: started.GetChallenge().GetChallenge(),
			Proof:     &authv1.VerifyFactorRequest_RecoveryCode{RecoveryCode: reset.GetRecoveryCode()},
		})
		require.NoError(t, err)
		require.NotContains(t, s.staff(admin, mo.account).GetFactors(), authv1.FactorKind_FACTOR_KIND_RECOVERY_CODE, "good once")
	})
}

func TestAResetOfFactorsLeavesThePassword(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin, mo := s.firmOfTwo(authv1.Role_ROLE_STAFF, newMobile())
		_, err := s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: mo.account})
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code())
		_, err = s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: admin.account, Factors: true})
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ACCOUNT_UNSUITABLE)
		reset, err := s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: mo.account, Factors: true})
		require.NoError(t, err)
		require.NotEmpty(t, reset.GetRecoveryCode())
		after := s.staff(admin, mo.account)
		require.False(t, after.GetMobileValidated())
		require.Contains(t, after.GetFactors(), authv1.FactorKind_FACTOR_KIND_RECOVERY_CODE)
		resp, err := s.trySignIn(mo.email, passphrase, "192.0.2.7")
		require.NoError(t, err)
		require.NotNil(t, resp.GetChallenge())

		_, err = s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: mo.account})
		require.NoError(t, err)
		_, err = s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: mo.account, Password: true})
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ACCOUNT_UNSUITABLE)
	})
}

func TestAPortalLoginIsDisabledAndInvitedAnew(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		contact := newContact(admin.firm)
		s.inbox.seen()
		made, err := s.inviteContact(admin, contact, "cleo@client.example")
		require.NoError(t, err)
		cleo := &person{email: "cleo@client.example", firm: admin.firm}
		s.accept(cleo)
		s.signInAs(cleo)
		name := made.GetContactLogin().GetName()
		for range 2 {
			resp, err := s.accounts.DisableContactLogin(s.as(admin.token), &authv1.DisableContactLoginRequest{Name: name})
			require.NoError(t, err)
			require.Equal(t, authv1.AccountState_ACCOUNT_STATE_DISABLED, resp.GetContactLogin().GetState())
		}
		_, err = s.resolve(cleo.token, "documents")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		_, err = s.trySignIn(cleo.email, passphrase, "192.0.2.7")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SIGN_IN_REFUSED)
		require.Equal(t, 2, len(s.events("auth.v1.contact_login_changed", &autheventsv1.ContactLoginChanged{})), "made, and ended once")
		_, err = s.accounts.DisableContactLogin(s.as(admin.token), &authv1.DisableContactLoginRequest{Name: admin.firm + "/contactLogins/" + uuid.NewString()})
		require.Equal(t, codes.NotFound, rpcerr.From(err).Code())
		s.inbox.seen()
		_, err = s.inviteContact(admin, contact, cleo.email)
		require.NoError(t, err)
		s.accept(cleo)
		s.signInAs(cleo)
	})
}

// One address is not invited without bound, however often somebody asks.
func TestNobodyIsFloodedWithInvitations(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		contact := newContact(admin.firm)
		for range 5 {
			_, err := s.inviteContact(admin, contact, "cleo@client.example")
			require.NoError(t, err)
		}
		_, err := s.inviteContact(admin, contact, "cleo@client.example")
		e := is(t, err, codes.ResourceExhausted, authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS)
		require.NotEmpty(t, e.Metadata()["retry_time"])
		_, err = s.inviteContact(admin, newContact(admin.firm), "carl@client.example")
		require.NoError(t, err, "somebody else is invited as before")
		s.clock.forward(24 * time.Hour)
		s.signInAs(admin)
		_, err = s.inviteContact(admin, contact, "cleo@client.example")
		require.NoError(t, err)
	})
}

// Whoever is invited anew starts from nothing: what was enrolled may be in other hands by now.
func TestWhoIsInvitedAnewHasNoFactorsFromBefore(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin, mo := s.firmOfTwo(authv1.Role_ROLE_STAFF, "")
		reset, err := s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: mo.account, Factors: true})
		require.NoError(t, err)
		code := s.resetCode(mo.email)
		require.Contains(t, s.staff(admin, mo.account).GetFactors(), authv1.FactorKind_FACTOR_KIND_RECOVERY_CODE)
		_, err = s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: mo.account})
		require.NoError(t, err)
		is(t, s.finishReset(code, anotherPass), codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_RESET_INVALID)
		s.inbox.seen()
		_, err = s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
			Parent: admin.firm, Email: mo.email, DisplayName: "Mo", Role: authv1.Role_ROLE_STAFF,
		})
		require.NoError(t, err)
		s.accept(mo)
		require.Equal(t, []authv1.FactorKind{authv1.FactorKind_FACTOR_KIND_EMAIL_PIN}, s.staff(admin, mo.account).GetFactors())
		started, err := s.trySignIn(mo.email, passphrase, "192.0.2.7")
		require.NoError(t, err)
		_, err = s.signIn.VerifyFactor(s.nobody("192.0.2.7"), &authv1.VerifyFactorRequest{
			Challenge: started.GetChallenge().GetChallenge(),
			Proof:     &authv1.VerifyFactorRequest_RecoveryCode{RecoveryCode: reset.GetRecoveryCode()},
		})
		require.Error(t, err)
	})
}

// Who is a firm's only administrator and has lost everything is helped by the operator, who can do so for nobody else.
func TestTheOperatorHelpsTheOnlyAdministrator(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		key := s.enrolTOTP(operator)
		began := s.begin(operator)
		shown, err := s.showTOTP(began.GetChallenge(), key.code())
		require.NoError(t, err)
		operator.token = shown.GetSessionToken()
		admin := s.newFirm(operator, "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		reset := func(name string) (*authv1.ResetStaffResponse, error) {
			return s.accounts.ResetStaff(s.as(operator.token), &authv1.ResetStaffRequest{Name: name, Factors: true})
		}
		mo := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		_, err = reset(mo.account)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ACCOUNT_UNSUITABLE)
		bo := s.hire(admin, "bo@harbour.example", "", authv1.Role_ROLE_ADMINISTRATOR)
		_, err = reset(admin.account)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ACCOUNT_UNSUITABLE)

		_, err = s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: bo.account, RequestId: requestID()})
		require.NoError(t, err)
		handed, err := reset(admin.account)
		require.NoError(t, err)
		require.NotEmpty(t, handed.GetRecoveryCode())
		_, err = s.resolve(admin.token, "auth")
		is(t, err, codes.Unauthenticated, authv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
		began = s.begin(admin)
		_, err = s.showRecovery(began.GetChallenge(), handed.GetRecoveryCode())
		require.NoError(t, err)
	})
}

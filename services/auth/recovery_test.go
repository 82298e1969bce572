package auth_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

func (s *suite) listFactors(p *person) map[string]*authv1.Factor {
	s.t.Helper()
	resp, err := s.factors().ListFactors(s.as(p.token), &authv1.ListFactorsRequest{})
	require.NoError(s.t, err)
	out := map[string]*authv1.Factor{}
	for _, f := range resp.GetFactors() {
		out[f.GetName()] = f
	}
	return out
}

// N30: codes are kept as keyed hashes, work once, and new ones void the old.
func TestN30_RecoveryCodesWorkOnceAndNewOnesVoidTheOld(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		prog := s.enrolTOTP(admin)
		require.Len(t, prog.codes, 10)
		require.False(t, s.stored("recovery_codes", "mac", []byte(prog.codes[0])))
		var won atomic.Int32
		var wg sync.WaitGroup
		var challenges []string
		for range 3 {
			challenges = append(challenges, s.begin(admin).GetChallenge())
		}
		for i := range 9 {
			wg.Go(func() {
				_, err := s.showRecovery(challenges[i%3], prog.codes[0])
				switch {
				case err == nil:
					won.Add(1)
				case rpcerr.Has(err, refused), rpcerr.Has(err, challengeOver), rpcerr.Has(err, tooMany):
				default:
					t.Errorf("a loser is told %v", err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 9, s.listFactors(admin)["factors/recovery-codes"].GetCodesLeft())
		s.clock.forward(5 * time.Minute)

		opened, err := s.showRecovery(s.begin(admin).GetChallenge(), strings.ToUpper(strings.ReplaceAll(prog.codes[1], "-", " ")))
		require.NoError(t, err)
		require.Equal(t, weakStrength, opened.GetSession().GetStrength())
		require.Equal(t, []string{"pwd", "recovery"}, opened.GetSession().GetMethods())
		require.Equal(t, s.clock.Now().Add(10*time.Minute), opened.GetSession().GetEnrolExpireTime().AsTime())
		_, err = s.factors().GenerateRecoveryCodes(s.as(opened.GetSessionToken()), &authv1.GenerateRecoveryCodesRequest{})
		require.True(t, rpcerr.Has(err, rpcerr.StepUpRequired), "one code is no way to ten")

		_, err = s.showTOTP(s.begin(admin).GetChallenge(), prog.code())
		require.NoError(t, err)
		s.clock.forward(totpWait)
		s.stepUpByTOTP(admin, prog)
		fresh, err := s.factors().GenerateRecoveryCodes(s.as(admin.token), &authv1.GenerateRecoveryCodesRequest{})
		require.NoError(t, err)
		require.Len(t, fresh.GetRecoveryCodes(), 10)
		c := s.begin(admin).GetChallenge()
		_, err = s.showRecovery(c, prog.codes[2])
		is(t, err, codes.Unauthenticated, refused)
		_, err = s.showRecovery(c, fresh.GetRecoveryCodes()[0])
		require.NoError(t, err)
	})
}

// totpWait is long enough for another code to be shown.
const totpWait = 30 * time.Second

func (s *suite) stepUpByTOTP(p *person, prog *program) {
	s.t.Helper()
	start, err := s.sessions.StartStepUp(s.as(p.token), &authv1.StartStepUpRequest{Password: passphrase})
	require.NoError(s.t, err)
	done, err := s.sessions.VerifyStepUp(s.as(p.token), &authv1.VerifyStepUpRequest{
		Challenge: start.GetChallenge().GetChallenge(), TotpCode: prog.code(),
	})
	require.NoError(s.t, err)
	p.token = done.GetSessionToken()
}

// N31, N33: who lost a factor binds another with a code that was kept, beside the password, and is told; a PIN by e-mail
// alone is not enough.
func TestN31_RecoveryTakesTwoThingsAndIsTold(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	prog := s.enrolTOTP(admin)
	_, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: admin.email, Password: "wrong " + passphrase})
	is(t, err, codes.Unauthenticated, refused)
	c := s.begin(admin)
	s.inbox.seen()
	opened, err := s.showRecovery(c.GetChallenge(), prog.codes[0])
	require.NoError(t, err)
	s.inbox.about(admin.email, "recovery code was used")
	admin.token = opened.GetSessionToken()
	again := s.enrolTOTP(admin)
	require.Empty(t, again.codes, "there are codes left")
	s.clock.forward(totpWait)
	_, err = s.showTOTP(s.begin(admin).GetChallenge(), prog.shown())
	is(t, err, codes.Unauthenticated, refused)
	_, err = s.showTOTP(s.begin(admin).GetChallenge(), again.shown())
	require.NoError(t, err)
	s.clock.forward(10 * time.Minute)
	_, err = s.factors().StartTotpEnrolment(s.as(admin.token), &authv1.StartTotpEnrolmentRequest{})
	is(t, err, codes.PermissionDenied, noEnrolment)
}

// N33: an administrator hands out a code by another way; it works once, for a day, beside the password.
func TestN33_AnAdministratorHelpsBackInAfterALoss(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		member := s.member(admin, newMobile())
		s.signInAs(member)
		s.stepUp(member)
		s.enrolTOTP(member)
		s.stepUp(admin)
		reset, err := s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: member.account, Factors: true, RequestId: requestID()})
		require.NoError(t, err)
		require.NotEmpty(t, reset.GetRecoveryCode())
		c := s.begin(member)
		require.NotContains(t, c.GetFactors(), totpKind)
		require.Contains(t, c.GetFactors(), recoveryKind)
		opened, err := s.showRecovery(c.GetChallenge(), reset.GetRecoveryCode())
		require.NoError(t, err)
		member.token = opened.GetSessionToken()
		prog := s.enrolTOTP(member)
		require.Len(t, prog.codes, 10, "those from before are gone")
		_, err = s.showRecovery(s.begin(member).GetChallenge(), reset.GetRecoveryCode())
		is(t, err, codes.Unauthenticated, refused)
		s.stepUpAgain(admin)
		late, err := s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: member.account, Factors: true, RequestId: requestID()})
		require.NoError(t, err)
		s.clock.forward(24 * time.Hour)
		require.NotContains(t, s.begin(member).GetFactors(), recoveryKind)
		require.NotEmpty(t, late.GetRecoveryCode())
	})
}

// stepUpAgain signs in anew and confirms.
func (s *suite) stepUpAgain(p *person) { s.signInAs(p); s.stepUp(p) }

// A session by e-mail binds nothing without a recovery code or the word of somebody above.
func TestAWeakSessionEnrolsWithACodeOrAnApprovalOnly(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		member := s.member(admin, "")
		require.Equal(t, weakStrength, s.signInAs(member).GetStrength())
		start := func(code string) (*authv1.StartTotpEnrolmentResponse, error) {
			return s.factors().StartTotpEnrolment(s.as(member.token), &authv1.StartTotpEnrolmentRequest{RecoveryCode: code})
		}
		_, err := start("")
		is(t, err, codes.PermissionDenied, noEnrolment)
		_, err = s.factors().StartMobileChange(s.as(member.token), &authv1.StartMobileChangeRequest{Mobile: newMobile()})
		is(t, err, codes.PermissionDenied, noEnrolment)
		_, err = start("0000-0000-0000-0000")
		is(t, err, codes.Unauthenticated, refused)

		s.inbox.seen()
		_, err = s.factors().RequestEnrolment(s.as(member.token), &authv1.RequestEnrolmentRequest{RequestId: requestID()})
		require.NoError(t, err)
		s.inbox.about(admin.email, member.name)
		_, err = s.factors().RequestEnrolment(s.as(member.token), &authv1.RequestEnrolmentRequest{RequestId: requestID()})
		is(t, err, codes.ResourceExhausted, tooMany)

		s.stepUp(admin)
		approve := func(name string) (*authv1.ApproveEnrolmentResponse, error) {
			return s.accounts.ApproveEnrolment(s.as(admin.token), &authv1.ApproveEnrolmentRequest{Name: name, RequestId: requestID()})
		}
		_, err = approve(admin.account)
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ACCOUNT_UNSUITABLE)
		approved, err := approve(member.account)
		require.NoError(t, err)
		require.Equal(t, s.clock.Now().Add(24*time.Hour), approved.GetExpireTime().AsTime())
		s.enrolTOTP(member)
		_, err = start("")
		is(t, err, codes.PermissionDenied, noEnrolment)

		_, err = approve(member.account)
		require.NoError(t, err)
		s.clock.forward(24 * time.Hour)
		opened := s.signInWeakly(member)
		_, err = s.factors().StartTotpEnrolment(s.as(opened), &authv1.StartTotpEnrolmentRequest{})
		is(t, err, codes.PermissionDenied, noEnrolment)
	})
}

// signInWeakly makes a session as an e-mailed PIN opens it, for somebody who has something better by now.
func (s *suite) signInWeakly(p *person) string {
	s.t.Helper()
	require.NoError(s.t, s.db.Tx(s.t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`DELETE FROM totps`)
		return err
	}))
	require.Equal(s.t, weakStrength, s.signInAs(p).GetStrength())
	return p.token
}

// One approval lets one enrolment through, however many are begun under it.
func TestAnApprovalIsUsedOnce(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		member := s.member(admin, "")
		s.signInAs(member)
		s.stepUp(admin)
		_, err := s.accounts.ApproveEnrolment(s.as(admin.token), &authv1.ApproveEnrolmentRequest{Name: member.account})
		require.NoError(t, err)
		mobile := newMobile()
		s.inbox.seen()
		other, err := s.factors().StartMobileChange(s.as(member.token), &authv1.StartMobileChangeRequest{Mobile: mobile})
		require.NoError(t, err)
		pin := s.inbox.pin(mobile)
		s.enrolTOTP(member)
		_, err = s.factors().FinishMobileChange(s.as(member.token), &authv1.FinishMobileChangeRequest{Enrolment: other.GetEnrolment(), Pin: pin})
		is(t, err, codes.PermissionDenied, noEnrolment)
		require.NotContains(t, s.listFactors(member), "factors/mobile")
	})
}

// T08: who can't use the only factor any more is helped by an administrator, and loses nothing.
func TestT08_ABrokenFactorIsNoLostAccount(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	member := s.member(admin, newMobile())
	s.signInAs(member)
	s.stepUp(member)
	s.enrolTOTP(member)
	s.stepUp(admin)
	_, err := s.accounts.ResetStaff(s.as(admin.token), &authv1.ResetStaffRequest{Name: member.account, Factors: true})
	require.NoError(t, err)
	require.True(t, slices.Contains(s.begin(member).GetFactors(), smsKind))
	s.clock.forward(time.Minute)
	require.Equal(t, strongStrength, s.signInAs(member).GetStrength())
}

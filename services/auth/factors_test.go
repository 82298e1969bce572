package auth_test

import (
	"bytes"
	"encoding/base32"
	"net/url"
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
	"github.com/concord-suite/concord/services/auth/internal/totp"
)

var (
	challengeOver  = authv1.ErrorReason_ERROR_REASON_CHALLENGE_EXPIRED
	tooMany        = authv1.ErrorReason_ERROR_REASON_TOO_MANY_ATTEMPTS
	notAllowed     = authv1.ErrorReason_ERROR_REASON_FACTOR_NOT_ALLOWED
	noEnrolment    = authv1.ErrorReason_ERROR_REASON_ENROLMENT_NOT_ALLOWED
	enrolmentOver  = authv1.ErrorReason_ERROR_REASON_ENROLMENT_EXPIRED
	passkeyKind    = authv1.FactorKind_FACTOR_KIND_PASSKEY
	totpKind       = authv1.FactorKind_FACTOR_KIND_TOTP
	smsKind        = authv1.FactorKind_FACTOR_KIND_SMS_PIN
	emailKind      = authv1.FactorKind_FACTOR_KIND_EMAIL_PIN
	recoveryKind   = authv1.FactorKind_FACTOR_KIND_RECOVERY_CODE
	weakStrength   = authv1.Strength_STRENGTH_WEAK
	strongStrength = authv1.Strength_STRENGTH_STRONG
)

func (s *suite) factors() authv1.FactorServiceClient { return authv1.NewFactorServiceClient(s.conn) }

// program is an authenticator program.
type program struct {
	s      *suite
	secret []byte
	codes  []string // recovery codes that came with it
}

// code is what the program shows now. Each half minute has one code and each is taken once: it waits for the next.
func (p *program) code() string {
	p.s.clock.forward(totp.Period)
	return p.shown()
}

func (p *program) shown() string { return totp.Code(p.secret, totp.StepOf(p.s.clock.Now())) }

// enrolTOTP sets up a program with a session that may.
func (s *suite) enrolTOTP(p *person) *program {
	s.t.Helper()
	start, err := s.factors().StartTotpEnrolment(s.as(p.token), &authv1.StartTotpEnrolmentRequest{})
	require.NoError(s.t, err)
	prog := s.programOf(start.GetSecret())
	done, err := s.factors().FinishTotpEnrolment(s.as(p.token), &authv1.FinishTotpEnrolmentRequest{
		Enrolment: start.GetEnrolment(), Code: prog.shown(),
	})
	require.NoError(s.t, err)
	prog.codes = done.GetRecoveryCodes()
	return prog
}

func (s *suite) programOf(secret string) *program {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	require.NoError(s.t, err)
	return &program{s: s, secret: raw}
}

// strong is an administrator with a mobile, freshly confirmed, of a firm that enforces two factors.
func (s *suite) strong() *person {
	s.t.Helper()
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	s.enforce(admin)
	return admin
}

// member is staff of the firm of an administrator, accepted and not signed in.
func (s *suite) member(admin *person, mobile string) *person {
	return s.hire(admin, "mo@harbour.example", mobile, authv1.Role_ROLE_STAFF)
}

func (s *suite) showTOTP(challenge, code string) (*authv1.VerifyFactorResponse, error) {
	return s.signIn.VerifyFactor(s.nobody("192.0.2.7"), &authv1.VerifyFactorRequest{
		Challenge: challenge, Proof: &authv1.VerifyFactorRequest_TotpCode{TotpCode: code},
	})
}

func (s *suite) showRecovery(challenge, code string) (*authv1.VerifyFactorResponse, error) {
	return s.signIn.VerifyFactor(s.nobody("192.0.2.7"), &authv1.VerifyFactorRequest{
		Challenge: challenge, Proof: &authv1.VerifyFactorRequest_RecoveryCode{RecoveryCode: code},
	})
}

// about waits for an e-mail that says something, whatever else arrives.
func (b *inbox) about(to, part string) {
	b.t.Helper()
	for {
		m := b.next(to)
		if strings.Contains(m.Text, part) {
			return
		}
		b.after = m.ID
	}
}

// changePolicy changes the firm's policy.
func (s *suite) changePolicy(admin *person, change func(p *authv1.SecurityPolicy)) {
	s.t.Helper()
	p := s.policy(admin)
	change(p)
	_, err := s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p, RequestId: requestID()})
	require.NoError(s.t, err)
}

// stored tells whether a column of a table holds some bytes anywhere.
func (s *suite) stored(table, column string, value []byte) (found bool) {
	s.t.Helper()
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
		all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (cell []byte, err error) { return cell, r.Scan(&cell) },
			`SELECT `+column+` FROM `+table)
		for _, cell := range all {
			found = found || bytes.Contains(cell, value)
		}
		require.NotEmpty(s.t, all)
		return err
	}))
	return found
}

// N26, T04: starting an enrolment enrols nothing, whatever is typed until the right code.
func TestN26_EnrolmentCompletesOnlyAfterACorrectCode(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		start, err := s.factors().StartTotpEnrolment(s.as(admin.token), &authv1.StartTotpEnrolmentRequest{})
		require.NoError(t, err)
		require.Equal(t, []authv1.FactorKind{smsKind}, s.begin(admin).GetFactors())
		prog := s.programOf(start.GetSecret())
		finish := func(code string) error {
			_, err := s.factors().FinishTotpEnrolment(s.as(admin.token), &authv1.FinishTotpEnrolmentRequest{
				Enrolment: start.GetEnrolment(), Code: code,
			})
			return err
		}
		is(t, finish(wrong(prog.shown())), codes.Unauthenticated, refused)
		s.clock.forward(31 * time.Second)
		require.Equal(t, []authv1.FactorKind{smsKind}, s.begin(admin).GetFactors())
		for range 4 {
			require.Error(t, finish(wrong(prog.shown())))
		}
		is(t, finish(prog.shown()), codes.FailedPrecondition, enrolmentOver)

		prog = s.enrolTOTP(admin)
		require.Len(t, prog.codes, 10)
		require.Equal(t, []authv1.FactorKind{totpKind, recoveryKind}, s.begin(admin).GetFactors())
		is(t, finish(prog.shown()), codes.FailedPrecondition, enrolmentOver)
	})
}

func TestT04_StartingAnEnrolmentEnrolsNothing(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	start, err := s.factors().StartTotpEnrolment(s.as(admin.token), &authv1.StartTotpEnrolmentRequest{})
	require.NoError(t, err)
	mobile, err := s.factors().StartMobileChange(s.as(admin.token), &authv1.StartMobileChangeRequest{Mobile: newMobile()})
	require.NoError(t, err)
	for _, empty := range []string{"000000", wrong(s.programOf(start.GetSecret()).shown())} {
		_, err = s.factors().FinishTotpEnrolment(s.as(admin.token), &authv1.FinishTotpEnrolmentRequest{Enrolment: start.GetEnrolment(), Code: empty})
		require.Error(t, err)
		_, err = s.factors().FinishMobileChange(s.as(admin.token), &authv1.FinishMobileChangeRequest{Enrolment: mobile.GetEnrolment(), Pin: "000000"})
		require.Error(t, err)
	}
	s.clock.forward(time.Minute)
	c := s.begin(admin)
	require.Equal(t, []authv1.FactorKind{smsKind}, c.GetFactors())
	_, err = s.verify(c.GetChallenge(), s.inbox.pin(admin.mobile))
	require.NoError(t, err, "the mobile is the one from before")
}

// N23: the secret is shown once and kept sealed.
func TestN23_SecretsAreSealedAndShownOnce(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		prog := s.enrolTOTP(admin)
		for _, column := range [][2]string{{"totps", "sealed"}, {"enrolments", "sealed"}, {"events_outbox", "payload"}} {
			require.False(t, s.stored(column[0], column[1], prog.secret), column)
			require.False(t, s.stored(column[0], column[1], []byte(totp.Text(prog.secret))), column)
		}
		require.NotContains(t, s.logs.String(), totp.Text(prog.secret))
	})
}

// N24: of any number who show the same code one gets in, at the same time and later.
func TestN24_OfManyWithTheSameCodeOneWins(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		prog := s.enrolTOTP(admin)
		_, err := s.showTOTP(s.begin(admin).GetChallenge(), prog.shown())
		is(t, err, codes.Unauthenticated, refused)
		var challenges []string
		for range 4 {
			challenges = append(challenges, s.begin(admin).GetChallenge())
		}
		code := prog.code()
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				resp, err := s.showTOTP(challenges[i%4], code)
				switch {
				case err == nil:
					won.Add(1)
					if resp.GetSession().GetStrength() != strongStrength {
						t.Error("a session by a time-based code is strong")
					}
				case rpcerr.Has(err, challengeOver), rpcerr.Has(err, refused), rpcerr.Has(err, tooMany):
				default:
					t.Errorf("a loser is told %v", err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		s.clock.forward(time.Minute)
		c := s.begin(admin)
		_, err = s.showTOTP(c.GetChallenge(), code)
		is(t, err, codes.Unauthenticated, refused)
		_, err = s.showTOTP(c.GetChallenge(), prog.shown())
		require.NoError(t, err)
	})
}

// N25: the code of the half minute before is taken, none of those around.
func TestN25_OneHalfMinuteBackAndNoneAhead(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	prog := s.enrolTOTP(admin)
	s.clock.forward(10 * time.Minute)
	at := func(d time.Duration) string { return totp.Code(prog.secret, totp.StepOf(s.clock.Now().Add(d))) }
	c := s.begin(admin).GetChallenge()
	for _, d := range []time.Duration{-time.Minute, 30 * time.Second} {
		_, err := s.showTOTP(c, at(d))
		is(t, err, codes.Unauthenticated, refused)
	}
	_, err := s.showTOTP(c, at(-30*time.Second))
	require.NoError(t, err)
}

// N27: an address for the QR code, and the secret to be typed.
func TestN27_TheSecretComesAsAddressAndAsText(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	start, err := s.factors().StartTotpEnrolment(s.as(admin.token), &authv1.StartTotpEnrolmentRequest{})
	require.NoError(t, err)
	require.NotContains(t, start.GetSecret(), "=")
	u, err := url.Parse(start.GetOtpauthUri())
	require.NoError(t, err)
	require.Equal(t, "otpauth", u.Scheme)
	require.Equal(t, "totp", u.Host)
	require.Equal(t, "/Concord app.example.com:ada@harbour.example", u.Path)
	require.Equal(t, start.GetSecret(), u.Query().Get("secret"))
	require.Equal(t, "Concord app.example.com", u.Query().Get("issuer"))
}

// What is enrolled is asked for also where the firm asks nobody.
func TestWhoEnrolsAFactorIsAskedForIt(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
	s.stepUp(admin)
	prog := s.enrolTOTP(admin)
	c := s.begin(admin)
	require.Equal(t, authv1.Channel_CHANNEL_UNSPECIFIED, c.GetChannel())
	require.Nil(t, c.GetResendTime())
	opened, err := s.showTOTP(c.GetChallenge(), prog.code())
	require.NoError(t, err)
	require.Equal(t, []string{"pwd", "otp"}, opened.GetSession().GetMethods())
}

func TestStepUpByProgram(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	prog := s.enrolTOTP(admin)
	s.inbox.seen()
	start, err := s.sessions.StartStepUp(s.as(admin.token), &authv1.StartStepUpRequest{Password: passphrase})
	require.NoError(t, err)
	require.Equal(t, []authv1.FactorKind{totpKind}, start.GetChallenge().GetFactors(), "recovery codes confirm nothing")
	done, err := s.sessions.VerifyStepUp(s.as(admin.token), &authv1.VerifyStepUpRequest{
		Challenge: start.GetChallenge().GetChallenge(), TotpCode: prog.code(),
	})
	require.NoError(t, err)
	require.Equal(t, strongStrength, done.GetSession().GetStrength())
	require.NotNil(t, done.GetSession().GetStepUpExpireTime())
	_, err = s.sessions.StartStepUp(s.as(done.GetSessionToken()), &authv1.StartStepUpRequest{})
	is(t, err, codes.FailedPrecondition, notAllowed)
}

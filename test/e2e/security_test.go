package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/story"
)

// security plays how people of a firm get stronger factors, lose them and come back, as their frontends do it.
func security(t *testing.T, in *installation) {
	adm := in.Firm(t, in.op, "security")
	t.Run("authenticator and recovery codes", func(t *testing.T) { authenticator(t, in.Firm(t, in.op, "authenticator")) })
	t.Run("approval", func(t *testing.T) { approval(t, in, adm) })
	t.Run("reset", func(t *testing.T) { reset(t, in, adm) })
	t.Run("led through enrolling", func(t *testing.T) { ledThrough(t, in) })
	t.Run("sessions of others", func(t *testing.T) { sessionsOfOthers(t, in, adm) })
}

func session(t *testing.T, p *story.Person) *authv1.Session {
	t.Helper()
	now := new(authv1.GetCurrentSessionResponse)
	require.NoError(t, p.Call(t.Context(), "GET", "/v1/session", nil, now))
	return now.GetSession()
}

// authenticator: a strong session enrols a program; from then on it is asked for in place of a PIN, each code once; a
// recovery code gets in once, weakly.
func authenticator(t *testing.T, adm *story.Person) {
	program, codes := adm.EnrolTOTP(t, "")
	require.Len(t, codes, 10)
	other := adm.Apart()
	begun, err := other.Begin(t, story.Password)
	require.NoError(t, err)
	require.Contains(t, begun.GetChallenge().GetFactors(), authv1.FactorKind_FACTOR_KIND_TOTP)
	require.Equal(t, authv1.Channel_CHANNEL_UNSPECIFIED, begun.GetChallenge().GetChannel(), "nothing was sent")
	code := program.Code()
	opened, err := other.Prove(t, begun.GetChallenge().GetChallenge(), &authv1.VerifyFactorRequest{
		Proof: &authv1.VerifyFactorRequest_TotpCode{TotpCode: code},
	})
	require.NoError(t, err)
	require.Equal(t, authv1.Strength_STRENGTH_STRONG, opened.GetStrength())

	again := adm.Apart()
	begun, err = again.Begin(t, story.Password)
	require.NoError(t, err)
	_, err = again.Prove(t, begun.GetChallenge().GetChallenge(), &authv1.VerifyFactorRequest{
		Proof: &authv1.VerifyFactorRequest_TotpCode{TotpCode: code},
	})
	require.Equal(t, "SIGN_IN_REFUSED", rest.Reason(err), "a code that was shown before")
	opened, err = again.Prove(t, begun.GetChallenge().GetChallenge(), &authv1.VerifyFactorRequest{
		Proof: &authv1.VerifyFactorRequest_RecoveryCode{RecoveryCode: codes[0]},
	})
	require.NoError(t, err)
	require.Equal(t, authv1.Strength_STRENGTH_WEAK, opened.GetStrength())
	require.NotNil(t, opened.GetEnrolExpireTime())

	begun, err = again.Begin(t, story.Password)
	require.NoError(t, err)
	_, err = again.Prove(t, begun.GetChallenge().GetChallenge(), &authv1.VerifyFactorRequest{
		Proof: &authv1.VerifyFactorRequest_RecoveryCode{RecoveryCode: codes[0]},
	})
	require.Equal(t, "SIGN_IN_REFUSED", rest.Reason(err), "a recovery code works once")
}

// approval: who has nothing but a mailbox can't bind anything stronger alone; an administrator's word lets them.
func approval(t *testing.T, in *installation, adm *story.Person) {
	require.NoError(t, setPolicy(t, adm, func(p *authv1.SecurityPolicy) { p.TwoFactorEnforced = true }))
	p := adm.Invite(t, &in.Stage, "mailbox@security.example", authv1.Role_ROLE_STAFF)
	require.Equal(t, authv1.Strength_STRENGTH_WEAK, session(t, p).GetStrength())
	err := p.Call(t.Context(), "POST", "/v1/factors:startTotp", &authv1.StartTotpEnrolmentRequest{}, nil)
	require.Equal(t, "ENROLMENT_NOT_ALLOWED", rest.Reason(err), "%v", err)

	before := adm.Newest(t)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/factors:requestEnrolment", &authv1.RequestEnrolmentRequest{}, nil))
	adm.Mail(t, before, func(text string) bool { return strings.Contains(text, p.Email) || strings.Contains(text, "Colleague") })
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+session(t, p).GetAccount()+":approveEnrolment", &authv1.ApproveEnrolmentRequest{}, nil))
	before = p.Newest(t)
	p.EnrolTOTP(t, "")
	p.Mail(t, before, func(string) bool { return true })
	err = p.Call(t.Context(), "POST", "/v1/factors:startMobile", &authv1.StartMobileChangeRequest{Mobile: "+61491570110"}, nil)
	require.Equal(t, "ENROLMENT_NOT_ALLOWED", rest.Reason(err), "an approval is good for one enrolment: %v", err)
}

func setPolicy(t *testing.T, adm *story.Person, change func(*authv1.SecurityPolicy)) error {
	t.Helper()
	adm.StepUp(t)
	got := new(authv1.GetSecurityPolicyResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+adm.Firm+"/securityPolicy", nil, got))
	change(got.GetPolicy())
	got.Policy.EnforceTime, got.Policy.RequiredBy = nil, nil
	return adm.Call(t.Context(), "PATCH", "/v1/"+adm.Firm+"/securityPolicy", got.GetPolicy(), nil)
}

var resetCode = regexp.MustCompile(`[A-Za-z0-9_-]{40,128}`)

// reset: the mailbox brings a new password and is then no second factor; the administrator's code is, once.
func reset(t *testing.T, in *installation, adm *story.Person) {
	const fresh = "eleven-boats-behind-the-lighthouse"
	p := adm.Invite(t, &in.Stage, "forgetful@security.example", authv1.Role_ROLE_STAFF)
	account := session(t, p).GetAccount()
	before := p.Newest(t)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/password:startReset", &authv1.StartPasswordResetRequest{Email: p.Email}, nil))
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/password:startReset", &authv1.StartPasswordResetRequest{Email: "nobody@security.example"}, nil))
	code := resetCode.FindString(p.Mail(t, before, func(text string) bool { return resetCode.MatchString(text) }))
	finish := &authv1.FinishPasswordResetRequest{ResetCode: code, NewPassword: fresh}
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/password:finishReset", finish, nil))
	require.Equal(t, "RESET_INVALID", rest.Reason(p.Call(t.Context(), "POST", "/v1/password:finishReset", finish, nil)))
	_, err := p.Send(t.Context(), "GET", "/v1/session", nil, "")
	require.Equal(t, http.StatusUnauthorized, rest.ProblemOf(err).Status, "every session has ended")

	other := p.Apart()
	begun, err := other.Begin(t, fresh)
	if err == nil {
		require.NotContains(t, begun.GetChallenge().GetFactors(), authv1.FactorKind_FACTOR_KIND_EMAIL_PIN, "the mailbox counts once")
		require.Equal(t, authv1.Channel_CHANNEL_UNSPECIFIED, begun.GetChallenge().GetChannel())
	}
	adm.StepUp(t)
	handed := new(authv1.ResetStaffResponse)
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+account+":reset", &authv1.ResetStaffRequest{Factors: true}, handed))
	begun, err = other.Begin(t, fresh)
	require.NoError(t, err)
	opened, err := other.Prove(t, begun.GetChallenge().GetChallenge(), &authv1.VerifyFactorRequest{
		Proof: &authv1.VerifyFactorRequest_RecoveryCode{RecoveryCode: handed.GetRecoveryCode()},
	})
	require.NoError(t, err)
	require.NotNil(t, opened.GetEnrolExpireTime())
	other.EnrolTOTP(t, "")
}

// ledThrough: a firm that forbids PINs by SMS and by e-mail keeps nobody out; who has nothing else may enrol, and do
// nothing else.
func ledThrough(t *testing.T, in *installation) {
	adm := in.Firm(t, in.op, "strict")
	own, _ := adm.EnrolTOTP(t, "")
	begun, err := adm.Begin(t, story.Password)
	require.NoError(t, err)
	_, err = adm.Prove(t, begun.GetChallenge().GetChallenge(), &authv1.VerifyFactorRequest{
		Proof: &authv1.VerifyFactorRequest_TotpCode{TotpCode: own.Code()},
	})
	require.NoError(t, err)
	require.NoError(t, setPolicy(t, adm, func(p *authv1.SecurityPolicy) {
		p.TwoFactorEnforced, p.EmailPinAllowed, p.EmailStandsIn = true, false, false
		p.ForbiddenFactors = []authv1.FactorKind{authv1.FactorKind_FACTOR_KIND_SMS_PIN}
	}))
	p := adm.Invite(t, &in.Stage, "newcomer@strict.example", authv1.Role_ROLE_STAFF)
	require.True(t, session(t, p).GetMustEnrol())
	_, err = p.Send(t.Context(), "GET", "/v1/"+p.Firm+"/clients", nil, "")
	require.Equal(t, http.StatusForbidden, rest.ProblemOf(err).Status, "%v", err)
	_, err = p.Send(t.Context(), "GET", "/v1/factors", nil, "")
	require.NoError(t, err)
	adm.StepUp(t)
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+session(t, p).GetAccount()+":approveEnrolment", &authv1.ApproveEnrolmentRequest{}, nil))
	program, _ := p.EnrolTOTP(t, "")
	begun, err = p.Begin(t, story.Password)
	require.NoError(t, err)
	opened, err := p.Prove(t, begun.GetChallenge().GetChallenge(), &authv1.VerifyFactorRequest{
		Proof: &authv1.VerifyFactorRequest_TotpCode{TotpCode: program.Code()},
	})
	require.NoError(t, err)
	require.False(t, opened.GetMustEnrol())
	_, err = p.Send(t.Context(), "GET", "/v1/"+p.Firm+"/clients", nil, "")
	require.NoError(t, err)
}

// sessionsOfOthers: an administrator sees and ends the sessions of a colleague, an Add-In's among them, and of nobody
// else's.
func sessionsOfOthers(t *testing.T, in *installation, adm *story.Person) {
	p := adm.Invite(t, &in.Stage, "seen@security.example", authv1.Role_ROLE_STAFF)
	addIn := p.AddIn(t)
	account := session(t, p).GetAccount()
	list := new(authv1.ListStaffSessionsResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+account+"/sessions", nil, list))
	require.Len(t, list.GetSessions(), 2)
	adm.StepUp(t)
	stranger := in.Firm(t, in.op, "stranger")
	for _, call := range []func() error{
		func() error { return stranger.Call(t.Context(), "GET", "/v1/"+account+"/sessions", nil, nil) },
		func() error {
			return stranger.Call(t.Context(), "POST", "/v1/"+account+":endSessions", &authv1.EndStaffSessionsRequest{}, nil)
		},
	} {
		require.Equal(t, http.StatusNotFound, rest.ProblemOf(call()).Status)
	}
	ended := new(authv1.EndStaffSessionsResponse)
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+account+":endSessions", &authv1.EndStaffSessionsRequest{}, ended))
	require.EqualValues(t, 2, ended.GetEnded())
	for _, c := range []*rest.Client{p.Client, addIn} {
		story.Eventually(t, "the session has ended", func() bool {
			_, err := c.Send(t.Context(), "GET", "/v1/"+adm.Firm+"/clients", nil, "")
			return err != nil && rest.ProblemOf(err).Status == http.StatusUnauthorized
		})
	}
}

package auth_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/names"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// The steps people take, for tests to begin where they want to.

// nobody is a context for calls of somebody not signed in, from an address.
func (s *suite) nobody(address string) context.Context { return dial.AsNobody(s.t.Context(), address) }

// as is a context for calls with a session token: the gateway resolves it for auth, as it does for every request.
func (s *suite) as(token string) context.Context {
	s.t.Helper()
	resp, err := s.resolve(token, "auth")
	require.NoError(s.t, err)
	return dial.WithToken(s.t.Context(), resp.GetInternalToken())
}

func (s *suite) resolve(token, audience string) (*authv1.ResolveSessionResponse, error) {
	ctx := dial.AsSelf(s.t.Context(), "gateway")
	return s.sessions.ResolveSession(ctx, &authv1.ResolveSessionRequest{SessionToken: token, Audience: audience, Address: "192.0.2.7"})
}

// asService is a context for calls of another service, acting in a firm for itself.
func (s *suite) asService(name, firm string) context.Context {
	id, err := names.Firm(firm)
	require.NoError(s.t, err)
	return dial.WithToken(s.t.Context(), s.mint.Token(access.ServicePrincipal(name, id), "auth"))
}

// person is somebody with an account.
type person struct {
	name, email, mobile string
	account             string // resource name
	firm                string // resource name
	token               string // of the open session
}

// operator claims the installation and signs in.
func (s *suite) operator() *person {
	s.t.Helper()
	code, err := s.service.SetupCode(s.t.Context())
	require.NoError(s.t, err)
	p := &person{name: "Olive Operator", email: "olive@host.example"}
	resp, err := s.signIn.ClaimInstallation(s.nobody("192.0.2.1"), &authv1.ClaimInstallationRequest{
		SetupCode: code, Email: p.email, Password: passphrase, DisplayName: p.name,
	})
	require.NoError(s.t, err)
	p.account = resp.GetOperator()
	s.signInAs(p)
	return p
}

var mobiles atomic.Int64

// newMobile is a number nobody else in the test binary has.
func newMobile() string { return fmt.Sprintf("+6149157%04d", mobiles.Add(1)) }

// newFirm makes a firm whose administrator has accepted the invitation. With a mobile, the administrator is signed in
// strongly and freshly.
func (s *suite) newFirm(operator *person, name, adminEmail, mobile string) *person {
	s.t.Helper()
	admin := &person{name: "Ada " + name, email: adminEmail, mobile: mobile}
	s.inbox.seen()
	resp, err := s.firms.CreateFirm(s.as(operator.token), &authv1.CreateFirmRequest{
		DisplayName: name, AdministratorEmail: admin.email, AdministratorName: admin.name, AdministratorMobile: mobile,
		RequestId: requestID(),
	})
	require.NoError(s.t, err)
	admin.firm, admin.account = resp.GetFirm().GetName(), resp.GetAdministrator()
	s.accept(admin)
	s.signInAs(admin)
	return admin
}

// accept reads the invitation and chooses the password.
func (s *suite) accept(p *person) {
	s.t.Helper()
	code := codePattern.FindString(s.inbox.next(p.email).Text)
	require.NotEmpty(s.t, code)
	resp, err := s.signIn.AcceptInvitation(s.nobody("192.0.2.7"), &authv1.AcceptInvitationRequest{
		InvitationCode: code, Password: passphrase,
	})
	require.NoError(s.t, err)
	require.Equal(s.t, p.email, resp.GetEmail())
}

// signInAs goes through the whole sign-in, whatever it asks for.
func (s *suite) signInAs(p *person) *authv1.Session {
	s.t.Helper()
	s.inbox.seen()
	resp, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: p.email, Password: passphrase, Firm: p.firm})
	require.NoError(s.t, err)
	if resp.GetChallenge() == nil {
		p.token = resp.GetSessionToken()
		return resp.GetSession()
	}
	verified, err := s.signIn.VerifyPin(s.nobody("192.0.2.7"), s.answer(p, resp.GetChallenge()))
	require.NoError(s.t, err)
	p.token = verified.GetSessionToken()
	return verified.GetSession()
}

// answer reads the PINs of a challenge from where they went.
func (s *suite) answer(p *person, c *authv1.Challenge) *authv1.VerifyPinRequest {
	s.t.Helper()
	req := &authv1.VerifyPinRequest{Challenge: c.GetChallenge()}
	switch c.GetChannel() {
	case authv1.Channel_CHANNEL_SMS:
		req.Pin = s.inbox.pin(p.mobile)
	case authv1.Channel_CHANNEL_EMAIL:
		req.Pin = s.inbox.pin(p.email)
	default:
		req.Pin, req.EmailPin = s.inbox.pin(p.mobile), s.inbox.pin(p.email)
	}
	return req
}

// hire invites somebody to the firm of an administrator who is freshly confirmed, and lets them accept.
func (s *suite) hire(admin *person, email, mobile string, role authv1.Role) *person {
	s.t.Helper()
	p := &person{name: "Staff " + email, email: email, mobile: mobile, firm: admin.firm}
	s.inbox.seen()
	resp, err := s.accounts.InviteStaff(s.as(admin.token), &authv1.InviteStaffRequest{
		Parent: admin.firm, Email: email, DisplayName: p.name, Mobile: mobile, Role: role, RequestId: requestID(),
	})
	require.NoError(s.t, err)
	p.account = resp.GetStaff().GetName()
	s.accept(p)
	return p
}

// stepUp confirms somebody anew and gives them the stronger session.
func (s *suite) stepUp(p *person) *authv1.Session {
	s.t.Helper()
	s.inbox.seen()
	resp, err := s.sessions.StartStepUp(s.as(p.token), &authv1.StartStepUpRequest{Password: passphrase})
	require.NoError(s.t, err)
	pins := s.answer(p, resp.GetChallenge())
	verified, err := s.sessions.VerifyStepUp(s.as(p.token), &authv1.VerifyStepUpRequest{
		Challenge: pins.GetChallenge(), Pin: pins.GetPin(), EmailPin: pins.GetEmailPin(),
	})
	require.NoError(s.t, err)
	p.token = verified.GetSessionToken()
	return verified.GetSession()
}

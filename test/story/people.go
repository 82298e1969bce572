// Package story plays people who use a suite: an operator who sets it up, an administrator who signs in with a PIN and
// connects a practice, staff and contacts. Tests say what they do; the story does it through REST, the provider's pages
// and the inbox, as those people would.
package story

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/test/rest"
)

// Password is everybody's.
const Password = "nine-lamps-under-the-orchard"

// mailWait is how long a message may take.
const mailWait = 20 * time.Second

// Person is somebody with a sign-in.
type Person struct {
	*rest.Client
	// Email and Mobile are where PINs go; Mobile may be empty.
	Email, Mobile string
	// Firm is "firms/{firm}", empty for the operator.
	Firm string

	world *remote.Client
}

// Stage is where a story plays: a suite and the world around it.
type Stage struct {
	// URL is the suite's REST address.
	URL string
	// World is the simulated world.
	World *remote.Client
	// SetupCode claims the suite.
	SetupCode string
	// Transport is how people's programs reach URL; nil for the usual way.
	Transport http.RoundTripper
}

// NewPerson is somebody who has not signed in yet.
func (s *Stage) NewPerson(email, mobile string) *Person {
	client := rest.New(s.URL)
	client.HTTP.Transport = s.Transport
	return &Person{Client: client, Email: email, Mobile: mobile, world: s.World}
}

// Claim makes the operator and signs in.
func (s *Stage) Claim(t testing.TB) *Person {
	t.Helper()
	op := s.NewPerson("operator@concord.example", "+61491570006")
	require.NoError(t, op.Call(t.Context(), "POST", "/v1/installation:claim", &authv1.ClaimInstallationRequest{
		SetupCode: s.SetupCode, Email: op.Email, Password: Password, Mobile: op.Mobile, DisplayName: "Operator",
	}, nil))
	op.SignIn(t)
	return op
}

// Firm makes a firm, and answers its administrator, signed in and stepped up.
func (s *Stage) Firm(t testing.TB, op *Person, name string) *Person {
	t.Helper()
	adm := s.NewPerson(fmt.Sprintf("admin@%s.example", name), mobile(name))
	made := new(authv1.CreateFirmResponse)
	require.NoError(t, op.Call(t.Context(), "POST", "/v1/firms", &authv1.CreateFirmRequest{
		DisplayName: name, AdministratorEmail: adm.Email, AdministratorName: "Administrator of " + name, AdministratorMobile: adm.Mobile,
	}, made))
	adm.Firm = made.GetFirm().GetName()
	adm.Accept(t)
	adm.SignIn(t)
	adm.StepUp(t)
	return adm
}

// mobile makes one of the Australian numbers reserved for fiction (0491 570 006 to 0491 570 159 are spread through that
// range), different for different names as far as tests need.
func mobile(name string) string {
	numbers := []string{"156", "157", "158", "159", "110"}
	sum := 0
	for _, r := range name {
		sum += int(r)
	}
	return "+61491570" + numbers[sum%len(numbers)]
}

// Invite invites a colleague, and answers them, accepted and signed in.
func (p *Person) Invite(t testing.TB, s *Stage, email string, role authv1.Role) *Person {
	t.Helper()
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+p.Firm+"/staff:invite", &authv1.InviteStaffRequest{
		Email: email, DisplayName: "Colleague", Role: role,
	}, nil))
	c := s.NewPerson(email, "")
	c.Firm = p.Firm
	c.Accept(t)
	c.SignIn(t)
	return c
}

var invitation = regexp.MustCompile(`[A-Za-z0-9_-]{22,128}`)

// Accept sets the first password with the code of the newest invitation.
func (p *Person) Accept(t testing.TB) {
	t.Helper()
	mails := p.messages(t, p.Email, "")
	require.NotEmpty(t, mails, "no invitation arrived for %s", p.Email)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/invitations:accept", &authv1.AcceptInvitationRequest{
		InvitationCode: invitation.FindString(mails[len(mails)-1]), Password: Password,
	}, nil))
}

// SignIn shows the password and, when asked, the PIN.
func (p *Person) SignIn(t testing.TB) *authv1.Session {
	t.Helper()
	before := p.newest(t)
	start := new(authv1.StartSignInResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/sign-in", &authv1.StartSignInRequest{Email: p.Email, Password: Password}, start))
	if start.GetSessionToken() != "" {
		p.Token = start.GetSessionToken()
		return start.GetSession()
	}
	c := start.GetChallenge()
	verify := &authv1.VerifyPinRequest{Challenge: c.GetChallenge()}
	verify.Pin, verify.EmailPin = p.pins(t, c.GetChannel(), before)
	done := new(authv1.VerifyPinResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/sign-in/challenges/"+c.GetChallenge()+":verify", verify, done))
	p.Token = done.GetSessionToken()
	return done.GetSession()
}

// StepUp makes step-up actions possible, unless they are.
func (p *Person) StepUp(t testing.TB) {
	t.Helper()
	now := new(authv1.GetCurrentSessionResponse)
	require.NoError(t, p.Call(t.Context(), "GET", "/v1/session", nil, now))
	if now.GetSession().GetStepUpExpireTime() != nil {
		return
	}
	before := p.newest(t)
	start := new(authv1.StartStepUpResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/session:startStepUp", &authv1.StartStepUpRequest{Password: Password}, start))
	c := start.GetChallenge()
	verify := &authv1.VerifyStepUpRequest{Challenge: c.GetChallenge()}
	verify.Pin, verify.EmailPin = p.pins(t, c.GetChannel(), before)
	done := new(authv1.VerifyStepUpResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/session:verifyStepUp", verify, done))
	p.Token = done.GetSessionToken()
}

// pins reads what arrived: SMS, e-mail, or both.
func (p *Person) pins(t testing.TB, ch authv1.Channel, before map[string]string) (pin, emailPIN string) {
	t.Helper()
	switch ch {
	case authv1.Channel_CHANNEL_EMAIL:
		return p.pin(t, p.Email, before), ""
	case authv1.Channel_CHANNEL_SMS_AND_EMAIL:
		return p.pin(t, p.Mobile, before), p.pin(t, p.Email, before)
	}
	return p.pin(t, p.Mobile, before), ""
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

func (p *Person) pin(t testing.TB, to string, before map[string]string) string {
	t.Helper()
	for _, text := range p.messages(t, to, before[to]) {
		if pin := sixDigits.FindString(text); pin != "" {
			return pin
		}
	}
	t.Fatalf("no PIN arrived for %s", to)
	return ""
}

// newest is the newest message of each of the person's addresses.
func (p *Person) newest(t testing.TB) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, to := range []string{p.Email, p.Mobile} {
		if to == "" {
			continue
		}
		msgs, err := p.world.Messages(t.Context(), to, "", 0)
		require.NoError(t, err)
		if n := len(msgs); n > 0 {
			seen[to] = msgs[n-1].ID
		}
	}
	return seen
}

// messages are the texts that arrived after one, oldest first.
func (p *Person) messages(t testing.TB, to, after string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mailWait+5*time.Second)
	defer cancel()
	msgs, err := p.world.Messages(ctx, to, after, mailWait)
	require.NoError(t, err)
	var texts []string
	for _, m := range msgs {
		texts = append(texts, m.Text)
	}
	return texts
}

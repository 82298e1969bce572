package demo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
)

// mailWait is how long an SMS or e-mail may take: deliveries are queued and sent within a second.
const mailWait = 10 * time.Second

func (d *Demo) installation(ctx context.Context) ([]row, error) {
	op := d.state.Operator
	err := d.op.call(ctx, "POST", "/v1/installation:claim", &authv1.ClaimInstallationRequest{
		SetupCode: d.cfg.SetupCode, Email: op.Email, Password: op.Password, Mobile: op.Mobile, DisplayName: op.Name,
	}, new(authv1.ClaimInstallationResponse))
	if err != nil && reason(err) != "ALREADY_CLAIMED" && d.cfg.SetupCode != "" {
		return nil, err
	}
	if err := d.signIn(ctx, d.op, op); err != nil {
		return nil, err
	}
	id, err := d.state.request("create-firm")
	if err != nil {
		return nil, err
	}
	adm := d.state.Administrator
	firm := new(authv1.CreateFirmResponse)
	if err := d.op.call(ctx, "POST", "/v1/firms", &authv1.CreateFirmRequest{
		DisplayName: "Simulated Practice", AdministratorEmail: adm.Email, AdministratorName: adm.Name,
		AdministratorMobile: adm.Mobile, RequestId: id,
	}, firm); err != nil {
		return nil, err
	}
	d.state.Names["firm"] = firm.GetFirm().GetName()
	if err := d.op.call(ctx, "POST", "/v1/"+d.firm()+":setDocumentArchive", &documentsv1.SetDocumentArchiveRequest{Enabled: true},
		new(documentsv1.SetDocumentArchiveResponse)); err != nil {
		return nil, err
	}
	return []row{{"firm", firm.GetFirm().GetDisplayName()}, {"document archive", "granted"}}, nil
}

func (d *Demo) firm() string { return d.state.Names["firm"] }

var invitation = regexp.MustCompile(`[A-Za-z0-9_-]{22,128}`)

func (d *Demo) administrator(ctx context.Context) ([]row, error) {
	adm := d.state.Administrator
	mails, err := d.cfg.World.Messages(ctx, adm.Email, "", mailWait)
	if err != nil {
		return nil, err
	}
	if len(mails) == 0 {
		return nil, errors.New("no invitation arrived by e-mail")
	}
	code := invitation.FindString(mails[0].Text)
	err = d.admin.call(ctx, "POST", "/v1/invitations:accept", &authv1.AcceptInvitationRequest{
		InvitationCode: code, Password: adm.Password,
	}, new(authv1.AcceptInvitationResponse))
	if err != nil && reason(err) != "INVITATION_INVALID" { // accepted before a restart
		return nil, err
	}
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	s := new(authv1.GetCurrentSessionResponse)
	if err := d.admin.call(ctx, "GET", "/v1/session", nil, s); err != nil {
		return nil, err
	}
	return []row{
		{"signed in", s.GetSession().GetDisplayName()},
		{"factors shown", fmt.Sprint(s.GetSession().GetMethods())},
	}, nil
}

// asAdministrator signs the administrator in, once per start. Policy of the new firm does not ask for a PIN yet; a
// step-up does, and that is what the later steps need.
func (d *Demo) asAdministrator(ctx context.Context) error {
	if d.admin.token != "" {
		return nil
	}
	if err := d.signIn(ctx, d.admin, d.state.Administrator); err != nil {
		return err
	}
	s := new(authv1.GetCurrentSessionResponse)
	if err := d.admin.call(ctx, "GET", "/v1/session", nil, s); err != nil {
		return err
	}
	if s.GetSession().GetStepUpExpireTime() != nil {
		return nil
	}
	return d.stepUp(ctx, d.admin, d.state.Administrator)
}

// signIn shows the password and, when asked, the PIN that arrived.
func (d *Demo) signIn(ctx context.Context, r *rest, p person) error {
	seen, err := d.lastMessages(ctx, p)
	if err != nil {
		return err
	}
	start := new(authv1.StartSignInResponse)
	if err := r.call(ctx, "POST", "/v1/sign-in", &authv1.StartSignInRequest{Email: p.Email, Password: p.Password}, start); err != nil {
		return err
	}
	if start.GetSessionToken() != "" {
		r.token = start.GetSessionToken()
		return nil
	}
	verify := &authv1.VerifyPinRequest{Challenge: start.GetChallenge().GetChallenge()}
	if err := d.readPINs(ctx, p, start.GetChallenge().GetChannel(), seen, &verify.Pin, &verify.EmailPin); err != nil {
		return err
	}
	done := new(authv1.VerifyPinResponse)
	if err := r.call(ctx, "POST", "/v1/sign-in/challenges/"+verify.GetChallenge()+":verify", verify, done); err != nil {
		return err
	}
	r.token = done.GetSessionToken()
	return nil
}

func (d *Demo) stepUp(ctx context.Context, r *rest, p person) error {
	seen, err := d.lastMessages(ctx, p)
	if err != nil {
		return err
	}
	start := new(authv1.StartStepUpResponse)
	if err := r.call(ctx, "POST", "/v1/session:startStepUp", &authv1.StartStepUpRequest{Password: p.Password}, start); err != nil {
		return err
	}
	verify := &authv1.VerifyStepUpRequest{Challenge: start.GetChallenge().GetChallenge()}
	if err := d.readPINs(ctx, p, start.GetChallenge().GetChannel(), seen, &verify.Pin, &verify.EmailPin); err != nil {
		return err
	}
	done := new(authv1.VerifyStepUpResponse)
	if err := r.call(ctx, "POST", "/v1/session:verifyStepUp", verify, done); err != nil {
		return err
	}
	r.token = done.GetSessionToken()
	return nil
}

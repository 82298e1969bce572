package api

import (
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/names"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/api/staffing"
	"github.com/concord-suite/concord/services/auth/internal/api/who"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/receipt"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

// stamp is a time on the wire; the zero time is unset.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

var roles = map[authv1.Role]account.Role{
	authv1.Role_ROLE_ADMINISTRATOR: account.Administrator, authv1.Role_ROLE_STAFF: account.Member,
	authv1.Role_ROLE_READ_ONLY: account.ReadOnly,
}

func roleOf(r account.Role) authv1.Role {
	for wire, role := range roles {
		if role == r {
			return wire
		}
	}
	return authv1.Role_ROLE_UNSPECIFIED
}

func stateOf(s account.State) authv1.AccountState {
	switch s {
	case account.Invited:
		return authv1.AccountState_ACCOUNT_STATE_INVITED
	case account.Active:
		return authv1.AccountState_ACCOUNT_STATE_ACTIVE
	case account.Disabled:
		return authv1.AccountState_ACCOUNT_STATE_DISABLED
	}
	return authv1.AccountState_ACCOUNT_STATE_UNSPECIFIED
}

func channelOf(c factor.Channel) authv1.Channel {
	switch c {
	case factor.SMS:
		return authv1.Channel_CHANNEL_SMS
	case factor.Email:
		return authv1.Channel_CHANNEL_EMAIL
	case factor.Both:
		return authv1.Channel_CHANNEL_SMS_AND_EMAIL
	}
	return authv1.Channel_CHANNEL_UNSPECIFIED
}

// staffMessage describes a member of a firm's staff, with what they can show second.
func staffMessage(a account.Account, f account.Firm, has people.Enrolled) *authv1.Staff {
	return &authv1.Staff{
		Name: names.Format(store.StaffName, a.Firm, a.ID), DisplayName: a.DisplayName, Email: a.Email, Mobile: a.Mobile,
		MobileValidated: !a.MobileValidated.IsZero(), Role: roleOf(a.Role), State: stateOf(a.State),
		CreateTime: stamp(a.Created), LastSignInTime: stamp(a.LastSignIn), PinDisabled: !a.PIN.Disabled.IsZero(),
		Factors: factorsOf(staffing.Showable(a, f, has)), EnrolmentRequestTime: stamp(has.Asked), Etag: staffing.ETag(a),
	}
}

func contactLoginMessage(a account.Account) *authv1.ContactLogin {
	return &authv1.ContactLogin{
		Name: names.Format(store.ContactLoginName, a.Firm, a.ID), Contact: names.Format(store.ContactName, a.Firm, a.Contact),
		Email: a.Email, State: stateOf(a.State), PinDisabled: !a.PIN.Disabled.IsZero(),
	}
}

func agentMessage(a store.Agent) *authv1.Agent {
	return &authv1.Agent{
		Name: names.Format(store.AgentName, a.Firm, a.ID), DisplayName: a.DisplayName,
		Creator: names.Format(store.StaffName, a.Firm, a.CreatedBy), CreateTime: stamp(a.Created), RevokeTime: stamp(a.Revoked),
	}
}

func firmMessage(f account.Firm) *authv1.Firm {
	return &authv1.Firm{Name: names.Format(store.FirmName, f.ID), DisplayName: f.DisplayName, CreateTime: stamp(f.Created)}
}

func policyMessage(f account.Firm, requiredBy []string) *authv1.SecurityPolicy {
	m := &authv1.SecurityPolicy{
		Name: names.Format(store.PolicyName, f.ID), TwoFactorEnforced: !f.Enforced.IsZero(), EnforceTime: stamp(f.Enforced),
		EmailPinAllowed: f.EmailPIN, Etag: strconv.FormatInt(f.Revision, 10), EmailStandsIn: f.EmailStandsIn,
		ContactsExempt: f.ContactsExempt, PasskeyAloneForbidden: f.PasskeyAloneForbidden,
	}
	m.ForbiddenFactors = factorsOf(f.Forbidden)
	for _, c := range requiredBy {
		m.RequiredBy = append(m.RequiredBy, names.Format(store.ConnectionName, f.ID, c))
	}
	return m
}

func challengeMessage(p *signin.Pending) *authv1.Challenge {
	return &authv1.Challenge{
		Challenge: p.ID, Channel: channelOf(p.Channel), DestinationHint: p.Hint, ExpireTime: stamp(p.Expires),
		ResendTime: stamp(p.Resend), Factors: factorsOf(p.Factors), PasskeyOptions: p.PasskeyOptions,
		SmsDelivery: deliveryOf(p.Text), EmailAvailable: p.EmailOpen,
	}
}

// deliveryOf is the state of a message on the wire.
func deliveryOf(s receipt.State) authv1.DeliveryState {
	switch s {
	case receipt.Sent:
		return authv1.DeliveryState_DELIVERY_STATE_SENT
	case receipt.Delivered:
		return authv1.DeliveryState_DELIVERY_STATE_DELIVERED
	case receipt.Undelivered:
		return authv1.DeliveryState_DELIVERY_STATE_UNDELIVERED
	}
	return authv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED
}

// factorsOf are kinds of factor on the wire.
func factorsOf(kinds []account.Factor) (out []authv1.FactorKind) {
	for _, k := range kinds {
		out = append(out, authv1.FactorKind(authv1.FactorKind_value["FACTOR_KIND_"+string(k)]))
	}
	return out
}

// forbiddenOf are the kinds of factor that a wanted policy forbids, in the order of the contract.
func forbiddenOf(p *authv1.SecurityPolicy) (out []account.Factor) {
	for _, k := range account.Forbiddable() {
		if slices.Contains(p.GetForbiddenFactors(), authv1.FactorKind(authv1.FactorKind_value["FACTOR_KIND_"+string(k)])) {
			out = append(out, k)
		}
	}
	return out
}

// riskNotice is what people are told who use PINs that are sent: the risk, and the way that is without it (NIST SP 800-63B-4
// §3.2.9 asks for both, and for a way that everybody can take).
const riskNotice = "A PIN by text message or e-mail can be read by whoever takes over your number or your mailbox. " +
	"A passkey or an authenticator program is safer, and quicker."

// sent tells whether a kind of factor travels to the person, where others may read it.
func sent(k account.Factor) bool { return k == account.SMSPIN || k == account.EmailPIN }

// sessionMessage describes a session and its holder.
func sessionMessage(s session.Session, h store.Holder) *authv1.Session {
	m := &authv1.Session{
		Name: names.Format(store.SessionName, s.ID), Kind: who.Kind(h.Kind, h.Role), Account: who.Name(h.Kind, s.Firm, s.Account),
		DisplayName: h.DisplayName, Strength: authv1.Strength(s.Strength), Methods: s.Methods, CreateTime: stamp(s.Created),
		ExpireTime: stamp(s.Expires), StepUpExpireTime: stamp(s.StepUpUntil), Origin: s.Address, MustEnrol: s.MustEnrol,
		EnrolExpireTime: stamp(s.EnrolUntil), AddIn: s.AddIn, LastUseTime: stamp(s.Used),
		LockTime: stamp(s.Locks()),
	}
	if s.Firm != "" {
		m.Firm = names.Format(store.FirmName, s.Firm)
	}
	if s.Kind != session.AddIn && slices.ContainsFunc(s.Shown(), sent) {
		m.RiskNotice = riskNotice
	}
	if s.Kind == session.AddIn {
		m.Kind, m.DisplayName, m.StepUpExpireTime = access.AddIn, h.DisplayName+" ("+s.AddIn+")", nil
	}
	return m
}

func holderOf(a account.Account) store.Holder {
	return store.Holder{Kind: a.Kind, Role: a.Role, Contact: a.Contact, State: a.State, DisplayName: a.DisplayName}
}

package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/sim/world"
)

// Sign-ins, what somebody looked at in a session, and changes of rights stand in the firm's ledger, each with who, in which
// session and when; who is privileged is told by the entry.
func TestS16_SignInsViewsAndChangesOfRightsAreInTheLedger(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, _ jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		bob := s.hire(admin, "bob@harbour.example", "", authv1.Role_ROLE_READ_ONLY)
		s.signInAs(bob)
		_, err := s.firms.GetFirm(s.as(bob.token), &authv1.GetFirmRequest{Name: admin.firm})
		require.NoError(t, err)
		_, err = s.accounts.ListStaff(s.as(admin.token), &authv1.ListStaffRequest{Parent: admin.firm})
		require.NoError(t, err)
		before, err := s.accounts.GetStaff(s.as(admin.token), &authv1.GetStaffRequest{Name: bob.account})
		require.NoError(t, err)
		_, err = s.accounts.UpdateStaff(s.as(admin.token), &authv1.UpdateStaffRequest{
			Name: bob.account, Role: authv1.Role_ROLE_STAFF, Etag: before.GetStaff().GetEtag(), RequestId: requestID(),
		})
		require.NoError(t, err)
		find := func(ok func(e *auditeventsv1.AuditEntry) bool) (found *auditeventsv1.AuditEntry) {
			for _, e := range s.entries(admin, &authv1.ListAuditEntriesRequest{}) {
				if ok(e.GetEntry()) {
					found = e.GetEntry()
				}
			}
			return found
		}
		opened := func(e *auditeventsv1.AuditEntry) bool {
			return e.GetAction() == "session.opened" && strings.HasSuffix(bob.account, e.GetActor())
		}
		viewed := func(e *auditeventsv1.AuditEntry) bool {
			return strings.HasSuffix(e.GetAction(), "ListStaff") && e.GetKind() == optionsv1.AuditKind_AUDIT_KIND_VIEW
		}
		changed := func(e *auditeventsv1.AuditEntry) bool {
			return strings.HasSuffix(e.GetAction(), "UpdateStaff") && e.GetResource() == bob.account
		}
		eventstest.Until(t, "all three are in the ledger", func() bool {
			return find(opened) != nil && find(viewed) != nil && find(changed) != nil
		})
		for _, e := range []*auditeventsv1.AuditEntry{find(opened), find(viewed), find(changed)} {
			require.NotEmpty(t, e.GetSession(), "%v", e)
			require.NotEmpty(t, e.GetActor())
			require.True(t, e.GetSuccess())
			require.WithinDuration(t, s.clock.Now(), e.GetOccurredAt().AsTime(), time.Minute)
		}
		require.Equal(t, access.Administrator, find(viewed).GetActorKind(), "privileged people are told from others")
		require.Equal(t, access.Administrator, find(changed).GetActorKind())
		require.Equal(t, optionsv1.AuditKind_AUDIT_KIND_CHANGE, find(changed).GetKind())
		require.Equal(t, access.ReadOnlyStaff, find(opened).GetActorKind())
	})
}

// Whoever's password is known to somebody who guesses codes is told, and so is everybody whose mobile was changed; nobody is
// written to for what they can do nothing about, such as wrong passwords of strangers.
func TestN43_PeopleAreToldOfGuessesAndOfChanges(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		bob := s.hire(admin, "bob@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.enforce(admin)
		for range 8 {
			_, err := s.signIn.StartSignIn(s.nobody("203.0.113.9"), &authv1.StartSignInRequest{Email: bob.email, Password: "wrong guess"})
			require.Error(t, err)
		}
		s.inbox.store.View(func(st *world.State) {
			for _, m := range st.Messages.All() {
				require.False(t, m.To == bob.email && strings.Contains(m.Subject, "may be trying"), "strangers fill somebody's mailbox")
			}
		})
		s.clock.forward(time.Hour)
		s.guessUntilOff(bob)
		require.Contains(t, s.after(bob.email, "Somebody may be trying"), "192.0.2.7", "where from")

		s.signInAs(admin)
		s.stepUp(admin)
		s.inbox.seen()
		now, err := s.accounts.GetStaff(s.as(admin.token), &authv1.GetStaffRequest{Name: bob.account})
		require.NoError(t, err)
		_, err = s.accounts.UpdateStaff(s.as(admin.token), &authv1.UpdateStaffRequest{
			Name: bob.account, Mobile: newMobile(), Etag: now.GetStaff().GetEtag(), RequestId: requestID(),
		})
		require.NoError(t, err)
		require.Contains(t, s.after(bob.email, "account was changed"), "mobile")
	})
}

// guessUntilOff guesses PINs of somebody whose password is known, until codes are switched off.
func (s *suite) guessUntilOff(p *person) {
	s.t.Helper()
	s.inbox.seen()
	begun := s.inbox.after
	for range 100 {
		s.inbox.seen()
		resp, err := s.signIn.StartSignIn(s.nobody("192.0.2.7"), &authv1.StartSignInRequest{Email: p.email, Password: passphrase, Firm: p.firm})
		if err != nil && rpcerr.From(err).Metadata()["pin_disabled"] == "true" {
			s.inbox.after = begun
			return
		}
		require.NoError(s.t, err)
		pin := s.inbox.pin(p.email)
		for range 5 {
			_, err = s.verify(resp.GetChallenge().GetChallenge(), wrong(pin))
			require.Error(s.t, err)
			s.clock.forward(90 * time.Second)
		}
		s.clock.forward(16 * time.Minute)
	}
	s.t.Fatal("codes are never switched off")
}

// after waits for a message whose subject or text holds words, among those not seen yet, and returns its text.
func (s *suite) after(to, words string) string {
	s.t.Helper()
	for after := s.inbox.after; ; {
		m := s.inbox.nextAfter(to, after)
		if strings.Contains(m.Subject+m.Text, words) {
			return m.Text
		}
		after = m.ID
	}
}

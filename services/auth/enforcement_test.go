package auth_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/services/auth"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// office is a firm with people who work under a password alone: one in the browser, one whose browser is locked, one in an
// Add-In.
type office struct {
	admin, member, idle, writer *person
	word                        *authv1.IssueAddInTokenResponse
}

func (s *suite) office() office {
	s.t.Helper()
	o := office{admin: s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())}
	s.stepUp(o.admin)
	o.idle = s.hire(o.admin, "idle@harbour.example", "", authv1.Role_ROLE_STAFF)
	o.member = s.hire(o.admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
	o.writer = s.hire(o.admin, "wren@harbour.example", "", authv1.Role_ROLE_READ_ONLY)
	s.signInAs(o.idle)
	s.clock.forward(31 * time.Minute)
	s.signInAs(o.admin)
	s.stepUp(o.admin)
	s.signInAs(o.member)
	s.signInAs(o.writer)
	o.word = s.addInTokens(o.writer, "")
	_, err := s.resolve(o.idle.token, "auth")
	is(s.t, err, codes.Unauthenticated, locked)
	return o
}

// weaker are the tokens that showed a password alone.
func (o office) weaker() []string {
	return []string{o.member.token, o.idle.token, o.writer.token, o.word.GetAccessToken()}
}

// history is how the firm's policy came to be.
func (s *suite) history(firm string) (states []store.PolicyState) {
	s.t.Helper()
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) (err error) {
		states, err = store.PolicyHistory(tx, strings.TrimPrefix(firm, "firms/"), 0, 100)
		return err
	}))
	return states
}

func TestC4_AConnectionSwitchesTheSecondFactorOn(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		o := s.office()
		before := map[string]int{}
		for _, p := range []*person{o.admin, o.member, o.idle, o.writer} {
			before[p.email] = s.inbox.count(p.email)
		}
		connection := newConnection(o.admin.firm)
		resp, err := s.require2FA(o.admin.firm, connection)
		require.NoError(t, err)
		require.True(t, resp.GetSwitchedOn())
		require.EqualValues(t, 4, resp.GetSessionsAffected(), "locked ones and Add-Ins' as well")
		for i, token := range o.weaker() {
			_, err := s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
			_, err = s.unlock(token, passphrase)
			is(t, err, codes.Unauthenticated, ended)
			_ = i
		}
		_, err = s.refresh(o.word.GetRefreshToken())
		grantRefused(t, err)
		_, err = s.resolve(o.admin.token, "documents")
		require.NoError(t, err)
		for email, n := range before {
			eventstest.Until(t, email+" is told", func() bool { return s.inbox.count(email) == n+1 })
		}
		require.Contains(t, s.inbox.next(o.idle.email).Text, "second factor")

		told := s.events("auth.v1.two_factor_enforced", &autheventsv1.TwoFactorEnforced{})
		require.Len(t, told, 1)
		require.Equal(t, connection, told[0].(*autheventsv1.TwoFactorEnforced).GetRequiredBy())
		require.Equal(t, 1, s.recorded("/concord.auth.v1.FirmService/RequireTwoFactor", o.admin.firm))
		states := s.history(o.admin.firm)
		require.Len(t, states, 2)
		require.Equal(t, store.PolicyMade, states[0].Cause)
		require.Equal(t, store.PolicyRequired, states[1].Cause)
		require.Equal(t, "SERVICE", states[1].ActorKind)
		require.Equal(t, "connector", states[1].Actor)
		require.Equal(t, connection, o.admin.firm+"/connections/"+states[1].Connection)
		require.Equal(t, s.clock.Now(), states[1].Firm.Enforced)

		p := s.policy(o.admin)
		p.TwoFactorEnforced = false
		_, err = s.firms.UpdateSecurityPolicy(s.as(o.admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p})
		is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_TWO_FACTOR_REQUIRED_BY_CONNECTION)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, s.signInAs(o.member).GetStrength(), "and nobody is locked out")
	})
}

// recorded counts the entries of an act that worked, in the chain of a firm.
func (s *suite) recorded(action, firm string) (n int) {
	for _, m := range s.events("audit.v1.audit_recorded", &auditeventsv1.AuditRecorded{}) {
		for _, e := range m.(*auditeventsv1.AuditRecorded).GetEntries() {
			if e.GetAction() == action && "firms/"+e.GetFirm() == firm && e.GetSuccess() {
				n++
			}
		}
	}
	return n
}

// It is all or nothing: when the commit fails, sessions, policy, notices and history are as they were.
func TestC4_TheSwitchIsOneTransaction(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			broken := sqldbtest.NewFaults()
			db := sqldbtest.Open(t, sqldbtest.URL(t, engine), auth.Migrations, broken.Option())
			s := start(t, db, options{run: true})
			o := s.office()
			waiting := func() (n int) {
				require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM deliveries`).Scan(&n))
				return n
			}
			mails := waiting()
			broken.FailExec("UPDATE sessions SET ended_at", 1)
			_, err := s.require2FA(o.admin.firm, newConnection(o.admin.firm))
			require.Error(t, err)
			require.False(t, s.policy(o.admin).GetTwoFactorEnforced())
			require.Empty(t, s.policy(o.admin).GetRequiredBy())
			require.Len(t, s.history(o.admin.firm), 1)
			require.Equal(t, mails, waiting())
			require.Empty(t, s.events("auth.v1.two_factor_enforced", &autheventsv1.TwoFactorEnforced{}))
			for _, token := range []string{o.member.token, o.writer.token, o.word.GetAccessToken()} {
				_, err := s.resolve(token, "documents")
				require.NoError(t, err)
			}
		})
	}
}

// Whoever unlocks, refreshes or signs in while the connection is being made holds nothing weaker afterwards.
func TestC4_NothingSlipsThroughTheSwitch(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		var locks, words, fresh []*person
		var grants []string
		for i := range 4 {
			for _, group := range []*[]*person{&locks, &words, &fresh} {
				*group = append(*group, s.hire(admin, fmt.Sprintf("p%d-%d@harbour.example", len(*group), len(locks)*10+len(words)*100+i), "", authv1.Role_ROLE_STAFF))
			}
		}
		for _, p := range locks {
			s.signInAs(p)
		}
		s.clock.forward(31 * time.Minute)
		for _, p := range words {
			s.signInAs(p)
			grants = append(grants, s.addInTokens(p, "").GetRefreshToken())
		}
		var mu sync.Mutex
		var tokens []string
		got := func(token string, err error) {
			if err == nil && token != "" {
				mu.Lock()
				defer mu.Unlock()
				tokens = append(tokens, token)
			}
		}
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(s.nobody("192.0.2.7"))
		defer cancel()
		for i := range 4 {
			wg.Go(func() {
				resp, err := s.sessions.UnlockSession(ctx, &authv1.UnlockSessionRequest{SessionToken: locks[i].token, Password: passphrase})
				got(resp.GetSessionToken(), err)
			})
			wg.Go(func() {
				grant := grants[i]
				for range 3 {
					resp, err := s.refresh(grant)
					got(resp.GetAccessToken(), err)
					if err == nil {
						grant = resp.GetRefreshToken()
					}
				}
			})
			wg.Go(func() {
				resp, err := s.signIn.StartSignIn(ctx, &authv1.StartSignInRequest{Email: fresh[i].email, Password: passphrase})
				got(resp.GetSessionToken(), err)
			})
		}
		_, err := s.require2FA(admin.firm, newConnection(admin.firm))
		require.NoError(t, err)
		wg.Wait()
		for _, token := range tokens {
			_, err := s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		var left int
		require.NoError(t, s.db.QueryRow(t.Context(), `SELECT count(*) FROM sessions WHERE ended_at = 0 AND strength = 1`).Scan(&left))
		require.Zero(t, left)
	})
}

// The connector calls before a connection becomes active and after it is gone. What such a call left is made true by the
// events, should it be lost; and what they tell late changes nothing.
func TestC4_EventsMakeUpForALostCall(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		o := s.office()
		firm := strings.TrimPrefix(o.admin.firm, "firms/")
		connector := newPeer(t, js, "connector")
		tell := func(connection string, sequence int64, there bool) {
			if there {
				connector.emit(firm, connection, sequence, &connectoreventsv1.ConnectionEstablished{Connection: &connectorv1.Connection{Name: connection}})
			} else {
				connector.emit(firm, connection, sequence, &connectoreventsv1.ConnectionRemoved{Connection: connection})
			}
		}
		requiredBy := func(want ...string) {
			t.Helper()
			eventstest.Until(t, fmt.Sprintf("required by %v", want), func() bool {
				ctx := s.asService("connector", o.admin.firm)
				resp, err := s.firms.GetSecurityPolicy(ctx, &authv1.GetSecurityPolicyRequest{Name: o.admin.firm + "/securityPolicy"})
				require.NoError(t, err)
				got := resp.GetPolicy().GetRequiredBy()
				return len(got) == len(want) && fmt.Sprint(got) == fmt.Sprint(want)
			})
		}
		first := newConnection(o.admin.firm)
		tell(first, 1, true)
		requiredBy(first)
		require.True(t, s.policy(o.admin).GetTwoFactorEnforced())
		for _, token := range o.weaker() {
			_, err := s.resolve(token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		require.Equal(t, 1, s.recorded("policy.repaired", o.admin.firm))
		tell(first, 2, false)
		requiredBy()
		require.True(t, s.policy(o.admin).GetTwoFactorEnforced(), "that is the administrator's to change")

		// Released by a call, an hour ahead of the word that it was there.
		upgraded := newConnection(o.admin.firm)
		connector.emit(firm, upgraded, 1, &connectoreventsv1.ConnectionUpgraded{Connection: &connectorv1.Connection{Name: upgraded}})
		requiredBy(upgraded)
		s.clock.forward(time.Hour)
		_, err := s.firms.ReleaseTwoFactor(s.asService("connector", o.admin.firm), &authv1.ReleaseTwoFactorRequest{Firm: o.admin.firm, Connection: upgraded})
		require.NoError(t, err)
		again := newConnection(o.admin.firm)
		_, err = s.require2FA(o.admin.firm, again)
		require.NoError(t, err)
		tell(upgraded, 2, true)
		tell(again, 1, false)
		marker := newConnection(o.admin.firm)
		tell(marker, 1, true)
		requiredBy(marker, again)
		require.Equal(t, 4, s.recorded("policy.repaired", o.admin.firm))
		causes := ""
		for _, state := range s.history(o.admin.firm) {
			causes += state.Cause + " "
		}
		require.Equal(t, "MADE REQUIRED RELEASED REQUIRED RELEASED REQUIRED REQUIRED ", causes)
	})
}

// A policy that asks for more ends what has shown less, whatever it asks more of; one that asks for less ends nothing.
func TestPolicyChangesEndWhatTheyForbid(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		s.enforce(admin)
		texter := s.hire(admin, "tex@harbour.example", newMobile(), authv1.Role_ROLE_STAFF)
		mailer := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_STAFF)
		s.signInAs(texter) // shows a text message and an e-mail, since somebody else entered the mobile
		s.clock.forward(2 * time.Minute)
		require.Equal(t, []string{"pwd", "otp", "sms"}, s.signInAs(texter).GetMethods())
		s.signInAs(mailer)
		change := func(edit func(*authv1.SecurityPolicy)) *authv1.SecurityPolicy {
			t.Helper()
			p := s.policy(admin)
			edit(p)
			resp, err := s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p})
			require.NoError(t, err)
			return resp.GetPolicy()
		}
		stays := func(p *person) {
			t.Helper()
			_, err := s.resolve(p.token, "documents")
			require.NoError(t, err)
		}
		change(func(p *authv1.SecurityPolicy) { p.PasskeyAloneForbidden, p.EmailStandsIn = true, false })
		for _, p := range []*person{admin, texter, mailer} {
			stays(p)
		}
		change(func(p *authv1.SecurityPolicy) { p.EmailPinAllowed = false })
		_, err := s.resolve(mailer.token, "documents")
		is(t, err, codes.Unauthenticated, ended)
		stays(texter)
		stays(admin)
		changed := change(func(p *authv1.SecurityPolicy) {
			p.ForbiddenFactors = []authv1.FactorKind{authv1.FactorKind_FACTOR_KIND_SMS_PIN, authv1.FactorKind_FACTOR_KIND_PASSKEY}
		})
		require.Equal(t, []authv1.FactorKind{authv1.FactorKind_FACTOR_KIND_PASSKEY, authv1.FactorKind_FACTOR_KIND_SMS_PIN}, changed.GetForbiddenFactors())
		for _, p := range []*person{texter, admin} {
			_, err := s.resolve(p.token, "documents")
			is(t, err, codes.Unauthenticated, ended)
		}
		states := s.history(admin.firm)
		last := states[len(states)-1]
		require.Equal(t, store.PolicyChanged, last.Cause)
		require.Equal(t, admin.account, admin.firm+"/staff/"+last.Actor)
		require.Equal(t, "ADMINISTRATOR", last.ActorKind)
		require.Equal(t, len(states), len(s.events("auth.v1.two_factor_enforced", &autheventsv1.TwoFactorEnforced{}))+4, "made, and four changes, one of which switched it on")
	})
}

// Contacts show two factors as well, unless the firm exempts them. T07: whoever has nothing the policy accepts is let in to
// enrol something, and to nothing else.
func TestC5_ContactsNeedASecondFactorUnlessTheFirmExemptsThem(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		require.False(t, s.policy(admin).GetContactsExempt(), "unless somebody decides otherwise")
		s.inbox.seen()
		_, err := s.inviteContact(admin, newContact(admin.firm), "cleo@client.example")
		require.NoError(t, err)
		cleo := &person{email: "cleo@client.example", firm: admin.firm}
		s.accept(cleo)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, s.signInAs(cleo).GetStrength())
		exempt := func(on bool) {
			p := s.policy(admin)
			p.ContactsExempt = on
			_, err := s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p})
			require.NoError(t, err)
		}
		exempt(true)
		_, err = s.resolve(cleo.token, "documents")
		require.NoError(t, err)
		require.Equal(t, authv1.Strength_STRENGTH_SINGLE, s.signInAs(cleo).GetStrength())
		_, err = s.require2FA(admin.firm, newConnection(admin.firm))
		require.NoError(t, err)
		_, err = s.resolve(cleo.token, "documents")
		require.NoError(t, err, "exempt is exempt, from what a connection asks as well")
		exempt(false)
		_, err = s.resolve(cleo.token, "documents")
		is(t, err, codes.Unauthenticated, ended)
		require.Equal(t, authv1.Strength_STRENGTH_WEAK, s.signInAs(cleo).GetStrength())
	})
}

func TestT07_WhoCannotComplyEnrolsAndDoesNothingElse(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		member := s.hire(admin, "mo@harbour.example", "", authv1.Role_ROLE_ADMINISTRATOR)
		p := s.policy(admin)
		p.TwoFactorEnforced, p.EmailPinAllowed = true, false
		_, err := s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p})
		require.NoError(t, err)
		opened := s.signInAs(member) // without a mobile, by the e-mail that the policy does not accept
		require.True(t, opened.GetMustEnrol())
		for _, audience := range []string{"auth", "documents", "sync", "connector"} {
			resp, err := s.resolve(member.token, audience)
			require.NoError(t, err)
			who, err := access.NewVerifier(audience, access.Sources{s.service.Keys()}, s.clock.Now).Verify(t.Context(), resp.GetInternalToken())
			require.NoError(t, err)
			require.True(t, who.Limited, audience)
		}
		_, err = s.accounts.ListStaff(s.as(member.token), &authv1.ListStaffRequest{Parent: admin.firm})
		require.Equal(t, rpcerr.EnrolmentRequired.String(), rpcerr.Reason(err))
		require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
		_, err = s.addIns.AuthorizeAddIn(s.as(member.token), &authv1.AuthorizeAddInRequest{
			Parent: admin.firm, AddIn: "word", RedirectUri: redirect, CodeChallenge: strings.Repeat("A", 43),
		})
		require.Equal(t, rpcerr.EnrolmentRequired.String(), rpcerr.Reason(err), "no Add-In goes around it")
		current, err := s.sessions.GetCurrentSession(s.as(member.token), &authv1.GetCurrentSessionRequest{})
		require.NoError(t, err)
		require.True(t, current.GetSession().GetMustEnrol())
		factors := authv1.NewFactorServiceClient(s.conn)
		_, err = factors.ListFactors(s.as(member.token), &authv1.ListFactorsRequest{})
		require.NoError(t, err)
		_, err = factors.RequestEnrolment(s.as(member.token), &authv1.RequestEnrolmentRequest{})
		require.NoError(t, err, "the very call that leads on")
		// It survives its lock as what it is.
		s.clock.forward(31 * time.Minute)
		unlocked, err := s.unlock(member.token, passphrase)
		require.NoError(t, err)
		require.True(t, unlocked.GetSession().GetMustEnrol())
	})
}

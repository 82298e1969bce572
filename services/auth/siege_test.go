package auth_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
)

// The word that a connection was there may come after the word that it is gone: then it is gone.
func TestC4_AConnectionThatIsGoneDoesNotComeBackByALateWord(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		s.stepUp(admin)
		firm := strings.TrimPrefix(admin.firm, "firms/")
		gone, marker := newConnection(admin.firm), newConnection(admin.firm)
		there := func(connection string) *connectoreventsv1.ConnectionEstablished {
			return &connectoreventsv1.ConnectionEstablished{Connection: &connectorv1.Connection{Name: connection}}
		}
		slow := &peer{t: t, db: sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), events.Schema)} // nobody relays its events yet
		slow.emit(firm, gone, 1, there(gone))
		connector := newPeer(t, js, "connector")
		connector.emit(firm, gone, 2, &connectoreventsv1.ConnectionRemoved{Connection: gone})
		connector.emit(firm, marker, 1, there(marker))
		required := func() []string { return s.policy(admin).GetRequiredBy() }
		eventstest.Until(t, "the removal was read", func() bool { return slices.Equal(required(), []string{marker}) })
		second := newConnection(admin.firm)
		slow.emit(firm, second, 1, there(second))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- events.NewRelay(slow.db, js, "connector", events.RelayOptions{}).Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		eventstest.Until(t, "the late word was read", func() bool { return slices.Contains(required(), second) })
		require.NotContains(t, required(), gone, "and enforcement could never be switched off again")
	})
}

// What a passkey alone has opened ends when the firm forbids that, and what was opened by a password as well stays.
func TestForbiddingThePasskeyAloneEndsWhatItOpened(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin, d := s.strong(), newDevice(t)
	s.enrolPasskey(admin, d)
	c := s.alone()
	alone, err := s.verifyPasskey(c.GetChallenge(), d.show(relyingParty, c.GetPasskeyOptions()))
	require.NoError(t, err)
	word := s.addIn(&person{token: alone.GetSessionToken(), firm: admin.firm})
	s.changePolicy(admin, func(p *authv1.SecurityPolicy) { p.PasskeyAloneForbidden = true })
	for _, token := range []string{alone.GetSessionToken(), word} {
		_, err = s.resolve(token, "documents")
		is(t, err, codes.Unauthenticated, ended)
	}
	_, err = s.resolve(admin.token, "documents")
	require.NoError(t, err)
}

// A text that no engine can keep is the caller's mistake, not a fault of the suite.
func TestConsentTakesNoTextThatCannotBeKept(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", newMobile())
		_, challenge := pkce()
		_, err := s.addIns.AuthorizeAddIn(s.as(admin.token), &authv1.AuthorizeAddInRequest{
			Parent: admin.firm, AddIn: "word", RedirectUri: redirect, CodeChallenge: challenge, Nonce: "a\x00b",
		})
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code(), "%v", err)
		_, err = s.issue(&authv1.IssueAddInTokenRequest{GrantType: "refresh_token", RefreshToken: "a\x00b", ClientId: "wo\x00rd"})
		require.Error(t, err)
		require.Equal(t, codes.NotFound, rpcerr.From(err).Code(), "%v", err)
	})
}

// leftOut requires that a policy was refused for what it forbids.
func leftOut(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code(), "%v", err)
	require.Equal(t, "policy.forbidden_factors", rpcerr.From(err).Violations()[0].Field)
}

// A policy that accepts nothing would leave everybody able to enrol nothing, whoever made it included.
func TestAPolicyAcceptsSomething(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.strong()
	change := func(enforced, exempt, mailed bool) error {
		p := s.policy(admin)
		p.ForbiddenFactors = []authv1.FactorKind{
			authv1.FactorKind_FACTOR_KIND_PASSKEY, authv1.FactorKind_FACTOR_KIND_TOTP, authv1.FactorKind_FACTOR_KIND_SMS_PIN,
		}
		p.TwoFactorEnforced, p.ContactsExempt, p.EmailPinAllowed = enforced, exempt, mailed
		_, err := s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p})
		return err
	}
	leftOut(t, change(true, false, false))
	leftOut(t, change(false, true, false)) // a connection may switch it on
	leftOut(t, change(true, false, true))  // nobody could confirm anew
}

// What this installation has not got does not count among what is left.
func TestAPolicyAcceptsSomethingThatThereIs(t *testing.T) {
	s := onSQLite(t, options{run: true, environ: []string{"CONCORD_AUTH_PUBLIC_URL=http://127.0.0.1:8080"}})
	admin := s.strong()
	p := s.policy(admin)
	p.ForbiddenFactors = []authv1.FactorKind{authv1.FactorKind_FACTOR_KIND_TOTP, authv1.FactorKind_FACTOR_KIND_SMS_PIN}
	_, err := s.firms.UpdateSecurityPolicy(s.as(admin.token), &authv1.UpdateSecurityPolicyRequest{Policy: p})
	leftOut(t, err)
}

// However an end and a refresh, a redeemed code and a step-up fall together: afterwards nothing of the person is left.
func TestNothingOutlivesAnEndThatComesAtTheSameTime(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.strong()
		for round := range 4 {
			mo := s.hire(admin, fmt.Sprintf("mo%d@harbour.example", round), newMobile(), authv1.Role_ROLE_STAFF)
			s.signInAs(mo)
			first := s.addInTokens(mo, "")
			verifier, challenge := pkce()
			code := s.consent(mo, challenge)
			var mu sync.Mutex
			tokens := []string{mo.token, first.GetAccessToken()}
			grants := []string{first.GetRefreshToken()}
			got := func(resp *authv1.IssueAddInTokenResponse, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					tokens, grants = append(tokens, resp.GetAccessToken()), append(grants, resp.GetRefreshToken())
				}
			}
			var work sync.WaitGroup
			work.Go(func() {
				grant := first.GetRefreshToken()
				for range 4 {
					resp, err := s.refresh(grant)
					got(resp, err)
					grant = resp.GetRefreshToken()
				}
			})
			work.Go(func() { got(s.refresh(first.GetRefreshToken())) })
			work.Go(func() { got(s.exchange(code, verifier, redirect)) })
			work.Go(func() { // another replica would do no more than these statements
				var err error
				if round%2 == 0 {
					_, err = s.sessions.EndStaffSessions(s.as(admin.token), &authv1.EndStaffSessionsRequest{Name: mo.account, RequestId: requestID()})
				} else {
					_, err = s.accounts.DisableStaff(s.as(admin.token), &authv1.DisableStaffRequest{Name: mo.account})
				}
				require.NoError(t, err)
			})
			work.Wait()
			for _, token := range tokens {
				_, err := s.resolve(token, "documents")
				is(t, err, codes.Unauthenticated, ended)
			}
			for _, grant := range grants {
				_, err := s.refresh(grant)
				grantRefused(t, err)
			}
			var left int
			require.NoError(t, s.db.QueryRow(t.Context(), `SELECT count(*) FROM sessions WHERE ended_at = 0 AND account = $1`,
				mo.account[strings.LastIndex(mo.account, "/")+1:]).Scan(&left))
			require.Zero(t, left)
		}
	})
}

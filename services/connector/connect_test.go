package connector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

const (
	waiting    = connectorv1.AttemptState_ATTEMPT_STATE_WAITING
	authorised = connectorv1.AttemptState_ATTEMPT_STATE_AUTHORISED
	confirmed  = connectorv1.AttemptState_ATTEMPT_STATE_CONFIRMED
	failed     = connectorv1.AttemptState_ATTEMPT_STATE_FAILED
	superseded = connectorv1.AttemptState_ATTEMPT_STATE_SUPERSEDED
	expired    = connectorv1.AttemptState_ATTEMPT_STATE_EXPIRED
)

func requireReason(t testing.TB, err error, reason connectorv1.ErrorReason) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, rpcerr.Normalize(reason), rpcerr.Reason(err), "%v", err)
}

func TestConnect(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		opened := s.start(firmA)
		a := opened.GetAttempt()
		require.Equal(t, waiting, a.GetState())
		require.WithinDuration(t, s.clock.Now().Add(5*time.Minute), a.GetExpireTime().AsTime(), 10*time.Second)
		require.Contains(t, a.GetPopupHelp(), "pop-ups")
		require.Len(t, a.GetWarnings(), 1, "the privilege is asked for before")
		require.Contains(t, a.GetWarnings()[0], "Authorise 3rd Party Full Access")
		q := query(opened.GetAuthorizeUrl())
		require.Equal(t, "S256", q.Get("code_challenge_method"))
		require.Len(t, q.Get("code_challenge"), 43)
		require.Contains(t, q.Get("scope"), "offline_access")
		require.Equal(t, callback, q.Get("redirect_uri"))
		require.NotEqual(t, q.Get("state"), opened.GetBrowserBinding())

		_, err := s.confirm(a, s.tenant(sim.PracticeName), false)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED)
		state, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Consultant, Tenant: sim.SecondPracticeName}))
		require.NoError(t, err)
		require.Equal(t, authorised, state)
		a = s.attempt(a.GetName())
		require.Equal(t, authorised, a.GetState())
		require.Len(t, a.GetTenants(), 1)
		require.Equal(t, s.tenant(sim.SecondPracticeName), a.GetPreselectedTenantId())
		require.Equal(t, "PRACTICEMANAGER", a.GetTenants()[0].GetTenantType())
		require.Empty(t, a.GetWarnings())
		require.EqualExportedValues(t, &connectorv1.ConnectionOptions{
			NewRecordPolicy: connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_CREATE, RemovalPolicy: connectorv1.RemovalPolicy_REMOVAL_POLICY_APPLY,
			RemovalGuardPermille: 100, RemovalGuardFloor: 5, FullSyncEveryDays: 30}, a.GetSuggestedOptions())

		resp, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
		require.True(t, resp.GetTwoFactorSwitchedOn())
		c := resp.GetConnection()
		require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, c.GetState())
		require.Equal(t, sim.SecondPracticeName, c.GetTenantName())
		require.Equal(t, accesstest.Of(access.Administrator, firmA).ID, c.GetConnectedBy())
		require.False(t, c.GetRemovalsSuspended())
		require.True(t, s.auth.requires(c.GetName()))
		require.Equal(t, accesstest.Of(access.Administrator, firmA).ID, s.auth.initiator, "auth knows for whom")
		got := s.get(c.GetName())
		got.DayCallsLeft = c.GetDayCallsLeft()
		require.True(t, proto.Equal(c, got))
		done := s.attempt(a.GetName())
		require.Equal(t, confirmed, done.GetState())
		require.Equal(t, c.GetName(), done.GetConnection())

		events := told[*connectoreventsv1.ConnectionEstablished](s)
		require.Len(t, events, 1)
		require.True(t, proto.Equal(c, events[0].GetConnection()))
		require.Equal(t, c.GetConnectedBy(), events[0].GetConfirmedBy())
		require.False(t, events[0].GetTenantChanged())
		list, err := s.connections.ListConnections(s.admin(firmA), &connectorv1.ListConnectionsRequest{Parent: "firms/" + firmA})
		require.NoError(t, err)
		require.Len(t, list.GetConnections(), 1)
		again, err := s.confirm(done, c.GetTenantId(), false)
		require.NoError(t, err)
		require.Equal(t, c.GetName(), again.GetConnection().GetName(), "confirming a second time is answered with what was made")
		require.Len(t, told[*connectoreventsv1.ConnectionEstablished](s), 1)
		s.requireNoSecrets()
	})
}

// requireNoSecrets looks for every token that ever passed in the logs and in the database.
func (s *suite) requireNoSecrets() {
	s.t.Helper()
	everything := s.dump()
	require.NotEmpty(s.t, s.wire.secrets)
	for _, secret := range s.wire.secrets {
		require.NotContains(s.t, s.logs.String(), secret, "a token in the log")
		require.NotContains(s.t, everything, secret, "a token in the database")
	}
}

func TestTheAnswerOfTheProvider(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		owner := remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}
		t.Run("denied", func(t *testing.T) {
			opened := s.start(firmA)
			state, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Deny: true}))
			require.NoError(t, err)
			require.Equal(t, failed, state)
			a := s.attempt(opened.GetAttempt().GetName())
			require.Contains(t, a.GetError(), "not allowed at the provider")
			_, err = s.confirm(a, "any", false)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_CONSENT_DENIED)
		})
		t.Run("another error", func(t *testing.T) {
			opened := s.start(firmA)
			state, err := s.complete(&connectorv1.CompleteConnectAttemptRequest{State: query(opened.GetAuthorizeUrl()).Get("state"),
				BrowserBinding: opened.GetBrowserBinding(), Error: "server_error", ErrorDescription: "try\x00later"})
			require.NoError(t, err)
			require.Equal(t, failed, state)
			require.Contains(t, s.attempt(opened.GetAttempt().GetName()).GetError(), "server_error try later")
		})
		t.Run("neither code nor error", func(t *testing.T) {
			opened := s.start(firmA)
			state, err := s.complete(&connectorv1.CompleteConnectAttemptRequest{State: query(opened.GetAuthorizeUrl()).Get("state"), BrowserBinding: opened.GetBrowserBinding()})
			require.NoError(t, err)
			require.Equal(t, failed, state)
		})
		t.Run("foreign state", func(t *testing.T) {
			_, err := s.complete(&connectorv1.CompleteConnectAttemptRequest{State: "never-given-out", Code: "c", BrowserBinding: "b"})
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
			require.Contains(t, err.Error(), "belongs to no attempt")
		})
		t.Run("wrong browser", func(t *testing.T) {
			opened := s.start(firmA)
			answer := s.consent(opened, owner)
			stolen := proto.CloneOf(answer)
			stolen.BrowserBinding = "another browser's"
			_, err := s.complete(stolen)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_BROWSER_MISMATCH)
			stolen.BrowserBinding = ""
			_, err = s.complete(stolen)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_BROWSER_MISMATCH)
			require.Equal(t, waiting, s.attempt(opened.GetAttempt().GetName()).GetState(), "its own browser can still go on")
			state, err := s.complete(answer)
			require.NoError(t, err)
			require.Equal(t, authorised, state)
		})
		t.Run("used", func(t *testing.T) {
			opened := s.start(firmA)
			answer := s.consent(opened, owner)
			_, err := s.complete(answer)
			require.NoError(t, err)
			state, err := s.complete(answer)
			require.NoError(t, err, "the same answer again is the browser's second try")
			require.Equal(t, authorised, state)
			answer.Code = "another"
			_, err = s.complete(answer)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED)
		})
		t.Run("another issuer", func(t *testing.T) {
			opened := s.start(firmA)
			answer := s.consent(opened, owner)
			answer.Issuer = "https://evil.example"
			state, err := s.complete(answer)
			require.NoError(t, err)
			require.Equal(t, failed, state)
		})
		t.Run("a code the provider does not accept", func(t *testing.T) {
			opened := s.start(firmA)
			answer := s.consent(opened, owner)
			answer.Code += "x"
			state, err := s.complete(answer)
			require.NoError(t, err)
			require.Equal(t, failed, state)
			require.Contains(t, s.attempt(opened.GetAttempt().GetName()).GetError(), "start again")
		})
		t.Run("expired", func(t *testing.T) {
			opened := s.start(firmA)
			answer := s.consent(opened, owner)
			s.clock.forward(5*time.Minute + time.Second)
			_, err := s.complete(answer)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED)
			require.Contains(t, err.Error(), "five minutes")
			require.Equal(t, expired, s.attempt(opened.GetAttempt().GetName()).GetState())
		})
	})
}

func TestANewAttemptSupersedesTheOldAtOnce(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		old := s.start(firmA)
		answer := s.consent(old, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName})
		fresh := s.start(firmA)
		require.Equal(t, superseded, s.attempt(old.GetAttempt().GetName()).GetState())
		_, err := s.complete(answer)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED)
		require.Contains(t, err.Error(), "newer attempt")
		other := s.start(firmB)
		require.Equal(t, waiting, s.attempt(fresh.GetAttempt().GetName()).GetState(), "another firm's attempt is another's")
		require.Equal(t, waiting, s.attempt(other.GetAttempt().GetName()).GetState())
	})
}

func TestAnAbandonedAttemptDiesWithWhatItReceived(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		a := s.authorise(firmA, sim.Owner, sim.PracticeName)
		require.Len(t, s.upstream(), 1)
		s.clock.forward(6 * time.Minute)
		require.Equal(t, expired, s.attempt(a.GetName()).GetState())
		s.until("the consent is revoked at the provider", func() bool { return len(s.upstream()) == 0 })
		require.Equal(t, "0", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM attempts WHERE tokens_sealed IS NOT NULL OR secrets_sealed IS NOT NULL`))
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED)
	})
}

func TestAnAbandonedAttemptDoesNotTakeAConnectionWithIt(t *testing.T) {
	s := onSQLite(t, options{})
	c := s.connect(firmA, sim.Consultant, sim.PracticeName)
	s.authorise(firmA, sim.Consultant, sim.SecondPracticeName)
	s.clock.forward(6 * time.Minute)
	s.until("the attempt is ended", func() bool {
		return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM attempts WHERE state = 'EXPIRED'`) == "1"
	})
	s.until("the chore is done", func() bool { return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM chores`) == "0" })
	require.NotEmpty(t, s.upstream(), "revoking would have ended all that person's connections")
	_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: uuid.NewString()})
	require.NoError(t, err)
}

func TestN52_AnAttemptBelongsToThePersonWhoMadeIt(t *testing.T) {
	s := onSQLite(t, options{})
	a := s.authorise(firmA, sim.Owner, sim.PracticeName)
	colleague := accesstest.SteppedUp(accesstest.Of(access.Administrator, firmA), s.clock.Now())
	colleague.ID = uuid.NewString()
	_, err := s.connections.GetConnectAttempt(s.as(colleague), &connectorv1.GetConnectAttemptRequest{Name: a.GetName()})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	_, err = s.connections.ConfirmConnectAttempt(s.as(colleague), &connectorv1.ConfirmConnectAttemptRequest{
		Name: a.GetName(), TenantId: a.GetPreselectedTenantId(), Options: a.GetSuggestedOptions()})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	// The same id under another firm is nobody's.
	foreign := strings.Replace(a.GetName(), firmA, firmB, 1)
	_, err = s.connections.GetConnectAttempt(s.admin(firmB), &connectorv1.GetConnectAttemptRequest{Name: foreign})
	requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
}

func TestStartingTwiceWithOneRequestIsStartingOnce(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		req := &connectorv1.StartConnectAttemptRequest{Parent: "firms/" + firmA, Provider: connectorv1.Provider_PROVIDER_XPM, RequestId: uuid.NewString()}
		one, err := s.connections.StartConnectAttempt(s.admin(firmA), req)
		require.NoError(t, err)
		two, err := s.connections.StartConnectAttempt(s.admin(firmA), req)
		require.NoError(t, err)
		require.True(t, proto.Equal(one, two), "with the secret parts, or the second answer would be of no use")
		require.NotContains(t, s.dump(), one.GetBrowserBinding())
		require.NotContains(t, s.dump(), query(one.GetAuthorizeUrl()).Get("state"))
	})
}

func TestWhenAuthIsDownNothingBecomesActive(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		a := s.authorise(firmA, sim.Owner, sim.PracticeName)
		s.auth.set(func(d *authDesk) { d.fail = status.Error(codes.Unavailable, "down") })
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.Equal(t, codes.Unavailable, status.Code(err))
		require.Empty(t, told[*connectoreventsv1.ConnectionEstablished](s))
		require.Equal(t, authorised, s.attempt(a.GetName()).GetState())
		s.auth.set(func(d *authDesk) { d.fail = nil })
		_, err = s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
	})
}

func TestTheProviderIsNotAvailableWhileTenantsAreListed(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		fault := s.fault(world.Fault{Kind: faults.Status, Path: "/connections", Status: 503})
		opened := s.start(firmA)
		state, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
		require.NoError(t, err)
		require.Equal(t, waiting, state, "the tokens are here; the rest is tried again")
		require.NoError(t, s.remote.RemoveFault(t.Context(), fault))
		s.until("a worker has listed the tenants", func() bool { return s.attempt(opened.GetAttempt().GetName()).GetState() == authorised })
	})
}

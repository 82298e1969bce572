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
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

const (
	legacy       = connectorv1.ConnectionState_CONNECTION_STATE_LEGACY
	active       = connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE
	disconnected = connectorv1.ConnectionState_CONNECTION_STATE_DISCONNECTED
)

// imports makes a practice known that was connected before OAuth 2.
func (s *suite) imports(firm, practice string, options *connectorv1.ConnectionOptions) *connectorv1.Connection {
	s.t.Helper()
	resp, err := s.connections.ImportLegacyConnection(s.admin(firm), &connectorv1.ImportLegacyConnectionRequest{
		Parent: "firms/" + firm, Provider: connectorv1.Provider_PROVIDER_XPM, TenantName: practice, Options: options})
	require.NoError(s.t, err)
	return resp.GetConnection()
}

func (s *suite) upgrading(c *connectorv1.Connection) (*connectorv1.StartConnectAttemptResponse, error) {
	return s.connections.StartConnectAttempt(s.admin(firmOf(c.GetName())), &connectorv1.StartConnectAttemptRequest{
		Parent: "firms/" + firmOf(c.GetName()), Provider: connectorv1.Provider_PROVIDER_XPM, UpgradeConnection: c.GetName()})
}

// authoriseUpgrade takes a new attempt to upgrade to where a tenant is to be chosen.
func (s *suite) authoriseUpgrade(c *connectorv1.Connection, practice string) *connectorv1.ConnectAttempt {
	s.t.Helper()
	opened, err := s.upgrading(c)
	require.NoError(s.t, err)
	state, err := s.complete(s.consent(opened, remote.Choice{Person: sim.Consultant, Tenant: practice}))
	require.NoError(s.t, err)
	require.Equal(s.t, authorised, state)
	return s.attempt(opened.GetAttempt().GetName())
}

// count returns a number from the database.
func (s *suite) count(query string) string {
	s.t.Helper()
	return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM ` + query)
}

func TestImportLegacyConnection(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.imports(firmA, "  The  Practice ", nil)
		require.Equal(t, legacy, c.GetState())
		require.Equal(t, "The Practice", c.GetTenantName())
		require.Empty(t, c.GetTenantId(), "nobody knows it before consent")
		require.Contains(t, c.GetStateReason(), "upgrade")
		require.EqualValues(t, 30, c.GetOptions().GetFullSyncEveryDays(), "the defaults")
		require.True(t, proto.Equal(c, s.get(c.GetName())))
		require.True(t, proto.Equal(c, s.imports(firmA, "the practice", nil)), "importing it again is importing it once")
		review := &connectorv1.ConnectionOptions{NewRecordPolicy: connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_REVIEW}
		changed := s.imports(firmA, "The Practice", review)
		require.Equal(t, c.GetName(), changed.GetName())
		require.Equal(t, review.GetNewRecordPolicy(), changed.GetOptions().GetNewRecordPolicy())
		require.NotEqual(t, c.GetEtag(), changed.GetEtag())
		other := s.imports(firmA, "Another Practice", review)
		require.NotEqual(t, c.GetName(), other.GetName())
		list, err := s.connections.ListConnections(s.admin(firmA), &connectorv1.ListConnectionsRequest{Parent: "firms/" + firmA})
		require.NoError(t, err)
		require.Len(t, list.GetConnections(), 2)

		_, err = s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: clients})
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)
		_, err = s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)
		_, err = s.connections.UpdateConnection(s.admin(firmA), update(changed))
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)
		require.Empty(t, s.auth.required)

		dropped, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName()})
		require.NoError(t, err)
		require.Equal(t, disconnected, dropped.GetConnection().GetState())
		require.Len(t, told[*connectoreventsv1.ConnectionRemoved](s), 1)
		require.Equal(t, "0", s.count("chores"), "nobody outside knew of it")
		require.NotEqual(t, c.GetName(), s.imports(firmA, "The Practice", nil).GetName(), "what was dropped stays dropped")
	})
}

func TestWhatCannotBeImported(t *testing.T) {
	s := onSQLite(t, options{})
	good := &connectorv1.ImportLegacyConnectionRequest{Parent: "firms/" + firmA, Provider: connectorv1.Provider_PROVIDER_XPM, TenantName: "P"}
	for name, c := range map[string]struct {
		change func(*connectorv1.ImportLegacyConnectionRequest)
		code   codes.Code
	}{
		"no name": {func(r *connectorv1.ImportLegacyConnectionRequest) { r.TenantName = " \t" }, codes.InvalidArgument},
		"contact types": {func(r *connectorv1.ImportLegacyConnectionRequest) {
			r.Options = &connectorv1.ConnectionOptions{ContactTypes: []string{"x"}}
		}, codes.InvalidArgument},
		"not configured": {func(r *connectorv1.ImportLegacyConnectionRequest) {
			r.Provider = connectorv1.Provider_PROVIDER_WORKFLOWMAX
		}, codes.FailedPrecondition},
		"never had keys": {func(r *connectorv1.ImportLegacyConnectionRequest) { r.Provider = connectorv1.Provider_PROVIDER_MYOB_AE }, codes.FailedPrecondition},
	} {
		req := proto.CloneOf(good)
		c.change(req)
		_, err := s.connections.ImportLegacyConnection(s.admin(firmA), req)
		require.Equal(t, c.code, status.Code(err), name)
	}
	require.Equal(t, "0", s.count("connections"))
}

func TestUpgrade(t *testing.T) {
	each(t, options{clients: 40}, func(t *testing.T, s *suite) {
		review := &connectorv1.ConnectionOptions{NewRecordPolicy: connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_REVIEW, FullSyncEveryDays: 7}
		old := s.imports(firmA, strings.ToUpper(sim.PracticeName), review)
		require.Len(t, s.start(firmA).GetAttempt().GetWarnings(), 2, "who connects anew is told of the upgrade")
		opened, err := s.upgrading(old)
		require.NoError(t, err)
		require.Equal(t, old.GetName(), opened.GetAttempt().GetUpgradeConnection())
		require.Len(t, opened.GetAttempt().GetWarnings(), 1, "the privilege")

		a := s.authoriseUpgrade(old, sim.PracticeName)
		require.Equal(t, old.GetName(), a.GetUpgradeConnection())
		require.Empty(t, a.GetWarnings(), "the same name, to people")
		require.True(t, proto.Equal(old.GetOptions(), a.GetSuggestedOptions()), "pre-filled with what it had")
		require.Equal(t, legacy, s.get(old.GetName()).GetState(), "until it is confirmed")
		resp, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
		require.True(t, resp.GetTwoFactorSwitchedOn())
		c := resp.GetConnection()
		require.Equal(t, old.GetName(), c.GetName(), "the same connection")
		require.Equal(t, active, c.GetState())
		require.Empty(t, c.GetStateReason())
		require.Equal(t, s.tenant(sim.PracticeName), c.GetTenantId())
		require.Equal(t, sim.PracticeName, c.GetTenantName(), "as it is called now")
		require.True(t, proto.Equal(old.GetOptions(), c.GetOptions()))
		require.False(t, c.GetRemovalsSuspended())
		require.True(t, s.auth.requires(c.GetName()))
		require.Equal(t, confirmed, s.attempt(a.GetName()).GetState())

		upgraded := told[*connectoreventsv1.ConnectionUpgraded](s)
		require.Len(t, upgraded, 1)
		require.True(t, proto.Equal(c, upgraded[0].GetConnection()))
		require.Equal(t, accesstest.Of(access.Administrator, firmA).ID, upgraded[0].GetConfirmedBy())
		require.Empty(t, told[*connectoreventsv1.ConnectionEstablished](s), "the other stands in its place")
		again, err := s.confirm(a, c.GetTenantId(), false)
		require.NoError(t, err)
		require.Equal(t, c.GetName(), again.GetConnection().GetName())
		require.Len(t, told[*connectoreventsv1.ConnectionUpgraded](s), 1)
		s.requireNoSecrets()

		require.Equal(t, c.GetName(), s.connect(firmA, sim.Consultant, sim.PracticeName).GetName(), "from now on it is like any other")
		require.Len(t, told[*connectoreventsv1.ConnectionEstablished](s), 1)
		_, err = s.upgrading(c)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_LEGACY)
	})
}

func TestUpgradeOfWhatIsNone(t *testing.T) {
	s := onSQLite(t, options{})
	dropped := s.imports(firmA, "Dropped", nil)
	_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: dropped.GetName()})
	require.NoError(t, err)
	working := s.connect(firmA, sim.Owner, sim.PracticeName)
	foreign := s.imports(firmB, "Theirs", nil)
	try := func(name string) error {
		_, err := s.connections.StartConnectAttempt(s.admin(firmA), &connectorv1.StartConnectAttemptRequest{
			Parent: "firms/" + firmA, Provider: connectorv1.Provider_PROVIDER_XPM, UpgradeConnection: name})
		return err
	}
	before := s.start(firmA)
	requireReason(t, try(dropped.GetName()), connectorv1.ErrorReason_ERROR_REASON_NOT_LEGACY)
	requireReason(t, try(working.GetName()), connectorv1.ErrorReason_ERROR_REASON_NOT_LEGACY)
	requireReason(t, try(foreign.GetName()), connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	requireReason(t, try(strings.Replace(foreign.GetName(), firmB, firmA, 1)), connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	requireReason(t, try("firms/"+firmA+"/connections/"+uuid.NewString()), connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	require.Equal(t, codes.InvalidArgument, status.Code(try("nonsense")))
	require.Equal(t, waiting, s.attempt(before.GetAttempt().GetName()).GetState(), "what was not started supersedes nothing")
}

func TestUpgradeToAnotherName(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		old := s.imports(firmA, "What it was called then", nil)
		a := s.authoriseUpgrade(old, sim.PracticeName)
		require.Len(t, a.GetWarnings(), 1)
		require.Contains(t, a.GetWarnings()[0], "What it was called then")
		require.Contains(t, a.GetWarnings()[0], sim.PracticeName)
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_TENANT_DIFFERS)
		require.Equal(t, legacy, s.get(old.GetName()).GetState())
		resp, err := s.confirm(a, a.GetPreselectedTenantId(), true)
		require.NoError(t, err)
		require.Equal(t, old.GetName(), resp.GetConnection().GetName())
		require.True(t, resp.GetConnection().GetRemovalsSuspended(), "until somebody has looked at it")
	})
}

// TestUpgradeToATenantThatIsConnected: which of two connections counts is for people to say.
func TestUpgradeToATenantThatIsConnected(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		other := s.connect(firmA, sim.Consultant, sim.PracticeName)
		old := s.imports(firmA, sim.PracticeName, nil)
		a := s.authoriseUpgrade(old, sim.PracticeName)
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_TENANT_CONNECTED)
		require.Contains(t, err.Error(), "disconnect")
		require.Equal(t, authorised, s.attempt(a.GetName()).GetState(), "another practice can be chosen, or this one when it is free")
		require.False(t, s.auth.requires(old.GetName()))
		require.Equal(t, legacy, s.get(old.GetName()).GetState())

		_, err = s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: other.GetName()})
		require.NoError(t, err)
		s.until("nothing is left to be told", func() bool { return s.count("chores WHERE kind <> 'REVOKE'") == "0" })
		a = s.authoriseUpgrade(old, sim.PracticeName)
		resp, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
		require.Equal(t, old.GetName(), resp.GetConnection().GetName())
		require.Equal(t, other.GetTenantId(), resp.GetConnection().GetTenantId())
		require.Empty(t, s.get(other.GetName()).GetTenantId(), "it has ended, and the tenant went over")
		require.Equal(t, disconnected, s.get(other.GetName()).GetState())
		require.Equal(t, old.GetName(), s.connect(firmA, sim.Consultant, sim.PracticeName).GetName())
	})
}

func TestAnUpgradeThatIsAbandoned(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		old := s.imports(firmA, sim.PracticeName, nil)
		first := s.authoriseUpgrade(old, sim.PracticeName)
		a := s.authoriseUpgrade(old, sim.PracticeName)
		require.Equal(t, superseded, s.attempt(first.GetName()).GetState(), "a new attempt takes its place at once")
		s.clock.forward(5*time.Minute + time.Second)
		require.Equal(t, expired, s.attempt(a.GetName()).GetState())
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_ATTEMPT_ENDED)
		s.until("what was received is gone", func() bool {
			return len(s.upstream()) == 0 && s.count("attempts WHERE tokens_sealed IS NOT NULL") == "0"
		})
		require.Equal(t, legacy, s.get(old.GetName()).GetState())
		require.Empty(t, s.auth.required)
		a = s.authoriseUpgrade(old, sim.PracticeName)
		_, err = s.confirm(a, a.GetPreselectedTenantId(), false)
		require.NoError(t, err)
	})
}

// TestTwoAdministratorsUpgradeOne: the first who confirms has done it.
func TestTwoAdministratorsUpgradeOne(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		old := s.imports(firmA, sim.PracticeName, nil)
		mine := s.authoriseUpgrade(old, sim.PracticeName)
		colleague := accesstest.SteppedUp(accesstest.Of(access.Administrator, firmA), s.clock.Now())
		colleague.ID = uuid.NewString()
		opened, err := s.connections.StartConnectAttempt(s.as(colleague), &connectorv1.StartConnectAttemptRequest{
			Parent: "firms/" + firmA, Provider: connectorv1.Provider_PROVIDER_XPM, UpgradeConnection: old.GetName()})
		require.NoError(t, err)
		_, err = s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
		require.NoError(t, err)
		_, err = s.confirm(mine, mine.GetPreselectedTenantId(), false)
		require.NoError(t, err)
		_, err = s.connections.ConfirmConnectAttempt(s.as(colleague), &connectorv1.ConfirmConnectAttemptRequest{
			Name: opened.GetAttempt().GetName(), TenantId: mine.GetPreselectedTenantId(), Options: mine.GetSuggestedOptions()})
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_LEGACY)
		require.Len(t, told[*connectoreventsv1.ConnectionUpgraded](s), 1)
		require.Equal(t, active, s.get(old.GetName()).GetState())
		require.True(t, s.auth.requires(old.GetName()))
	})
}

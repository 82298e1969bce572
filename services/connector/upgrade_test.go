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
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
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

// requireOneUpgrade looks that a connection was upgraded once, whatever happened on the way.
func (s *suite) requireOneUpgrade(old *connectorv1.Connection, attempt string) {
	s.t.Helper()
	require.Equal(s.t, confirmed, s.attempt(attempt).GetState(), s.troubles())
	require.Equal(s.t, old.GetName(), s.attempt(attempt).GetConnection())
	require.Len(s.t, told[*connectoreventsv1.ConnectionUpgraded](s), 1)
	require.Empty(s.t, told[*connectoreventsv1.ConnectionEstablished](s))
	require.Equal(s.t, active, s.get(old.GetName()).GetState())
	require.True(s.t, s.auth.requires(old.GetName()))
	require.Equal(s.t, "1", s.count("grants"))
	require.Equal(s.t, "1", s.count("connections"))
	_, err := s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: old.GetName(), RecordId: firmA})
	require.NoError(s.t, err)
}

// TestLostCommitsOnTheWayToAnUpgrade loses the commit, or its answer, right after each call to the outside.
func TestLostCommitsOnTheWayToAnUpgrade(t *testing.T) {
	lose := map[string]func(*sqldbtest.Faults){
		"not done":            func(f *sqldbtest.Faults) { f.FailCommit(1) },
		"done, answer lost":   func(f *sqldbtest.Faults) { f.CommitThenFail(1) },
		"refused, then again": func(f *sqldbtest.Faults) { f.RefuseCommit(1) },
	}
	for kind, break_ := range lose {
		for _, step := range []string{"/connect/token", "/paged-list", "confirm"} {
			t.Run(kind+" "+step, func(t *testing.T) {
				f := sqldbtest.NewFaults()
				each(t, options{still: true, faults: f}, func(t *testing.T, s *suite) {
					old := s.imports(firmA, sim.PracticeName, nil)
					opened, err := s.upgrading(old)
					require.NoError(t, err)
					if step != "confirm" {
						s.wire.after = once(step, func() { break_(f) })
					}
					_, _ = s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
					name := opened.GetAttempt().GetName()
					if step != "confirm" {
						s.work()
					}
					s.until("the attempt goes on or has failed", func() bool { return s.attempt(name).GetState() != waiting })
					a := s.attempt(name)
					if step == "/connect/token" && kind == "not done" { // the provider gives its answer once
						require.Equal(t, failed, a.GetState())
						require.Equal(t, legacy, s.get(old.GetName()).GetState())
						return
					}
					if step == "confirm" {
						s.auth.set(func(d *authDesk) {
							first := once("", func() { break_(f) })
							d.called = func() { first("") }
						})
					}
					_, _ = s.confirm(a, a.GetPreselectedTenantId(), false)
					if step == "confirm" {
						s.work()
					}
					s.until("the connection is upgraded", func() bool { return s.attempt(name).GetState() == confirmed })
					s.requireOneUpgrade(old, name)
				})
			})
		}
	}
}

// TestAProcessDiesWhileUpgrading: after auth was asked, nothing the process does reaches the database any more.
func TestAProcessDiesWhileUpgrading(t *testing.T) {
	f := sqldbtest.NewFaults()
	each(t, options{still: true, faults: f}, func(t *testing.T, s *suite) {
		old := s.imports(firmA, sim.PracticeName, nil)
		a := s.authoriseUpgrade(old, sim.PracticeName)
		s.auth.set(func(d *authDesk) { d.called = func() { f.FailExec("UPDATE attempts", 100) } })
		_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
		require.Error(t, err)
		require.Equal(t, legacy, s.get(old.GetName()).GetState())
		s.auth.set(func(d *authDesk) { d.called = nil })
		f.FailExec("", 0)
		s.clock.forward(6 * time.Minute) // the person has decided: the five minutes do not matter any more
		s.work()
		s.until("a worker has upgraded it", func() bool { return s.attempt(a.GetName()).GetState() == confirmed })
		s.requireOneUpgrade(old, a.GetName())
	})
}

// TestWhatHappensToAConnectionWhileItIsUpgraded: what comes between the choice and its end is the later decision.
func TestWhatHappensToAConnectionWhileItIsUpgraded(t *testing.T) {
	for name, c := range map[string]struct {
		between func(s *suite, old *connectorv1.Connection)
		reason  connectorv1.ErrorReason
		state   connectorv1.ConnectionState
	}{
		"dropped": {func(s *suite, old *connectorv1.Connection) {
			_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: old.GetName()})
			if err != nil {
				s.t.Errorf("disconnect: %v", err)
			}
		}, connectorv1.ErrorReason_ERROR_REASON_NOT_LEGACY, disconnected},
		"its practice connected": {func(s *suite, _ *connectorv1.Connection) {
			s.auth.set(func(d *authDesk) { d.called = nil })
			colleague := accesstest.SteppedUp(accesstest.Of(access.Administrator, firmA), s.clock.Now())
			colleague.ID = uuid.NewString()
			opened, err := s.connections.StartConnectAttempt(s.as(colleague), &connectorv1.StartConnectAttemptRequest{
				Parent: "firms/" + firmA, Provider: connectorv1.Provider_PROVIDER_XPM})
			if err == nil {
				_, err = s.complete(s.consent(opened, remote.Choice{Person: sim.Owner, Tenant: sim.PracticeName}))
			}
			if err == nil {
				_, err = s.connections.ConfirmConnectAttempt(s.as(colleague), &connectorv1.ConfirmConnectAttemptRequest{
					Name: opened.GetAttempt().GetName(), TenantId: s.tenant(sim.PracticeName), Options: &connectorv1.ConnectionOptions{}})
			}
			if err != nil {
				s.t.Errorf("connect: %v", err)
			}
		}, connectorv1.ErrorReason_ERROR_REASON_TENANT_CONNECTED, legacy},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, options{}, func(t *testing.T, s *suite) {
				old := s.imports(firmA, sim.PracticeName, nil)
				a := s.authoriseUpgrade(old, sim.PracticeName)
				hold, ended := make(chan struct{}), make(chan error, 1)
				s.auth.set(func(d *authDesk) { d.hold = hold })
				go func() {
					_, err := s.confirm(a, a.GetPreselectedTenantId(), false)
					ended <- err
				}()
				s.until("the choice is written down", func() bool { return s.count("attempts WHERE state = 'CONFIRMING'") == "1" })
				s.auth.set(func(d *authDesk) { d.hold = nil })
				c.between(s, old)
				close(hold)
				requireReason(t, <-ended, c.reason)
				require.Equal(t, failed, s.attempt(a.GetName()).GetState())
				require.Equal(t, c.state, s.get(old.GetName()).GetState())
				require.Empty(t, told[*connectoreventsv1.ConnectionUpgraded](s))
				s.clock.forward(time.Minute)
				s.until("auth does not ask for it any more", func() bool { return !s.auth.requires(old.GetName()) })
			})
		})
	}
}

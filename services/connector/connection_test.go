package connector_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

func update(c *connectorv1.Connection, paths ...string) *connectorv1.UpdateConnectionRequest {
	c = proto.CloneOf(c)
	if len(paths) > 0 && paths[0] == "removals_suspended" {
		c.RemovalsSuspended = false
	}
	return &connectorv1.UpdateConnectionRequest{Connection: c, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}}
}

// dump returns everything in the connector's tables as text.
func (s *suite) dump() string {
	s.t.Helper()
	var all strings.Builder
	tables := map[sqldb.Dialect]string{sqldb.SQLite: `SELECT json_group_array(name) FROM sqlite_schema WHERE type = 'table'`,
		sqldb.Postgres: `SELECT json_agg(table_name)::text FROM information_schema.tables WHERE table_schema = current_schema()`}
	var tableNames []string
	require.NoError(s.t, json.Unmarshal([]byte(s.cell(tables[s.db.Dialect()])), &tableNames))
	for _, table := range tableNames {
		require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
			columns := map[sqldb.Dialect]string{sqldb.SQLite: `SELECT json_group_array(name) FROM pragma_table_info('` + table + `')`,
				sqldb.Postgres: `SELECT json_agg(column_name)::text FROM information_schema.columns
					WHERE table_schema = current_schema() AND table_name = '` + table + `'`}
			var names string
			if err := tx.QueryRow(columns[tx.Dialect()]).Scan(&names); err != nil {
				return err
			}
			list := strings.Split(strings.NewReplacer("[", "", "]", "", `"`, "", " ", "").Replace(names), ",")
			rows, err := tx.Query(`SELECT ` + strings.Join(list, ", ") + ` FROM ` + table)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				values := make([]any, len(list))
				into := make([]any, len(list))
				for i := range values {
					into[i] = &values[i]
				}
				if err := rows.Scan(into...); err != nil {
					return err
				}
				for _, v := range values {
					fmt.Fprintf(&all, "%s\n", v)
				}
			}
			return rows.Err()
		}), table)
	}
	return all.String()
}

func TestUpdateConnection(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		c.Options = &connectorv1.ConnectionOptions{NewRecordPolicy: connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_REVIEW,
			RemovalPolicy: connectorv1.RemovalPolicy_REMOVAL_POLICY_REVIEW, RemovalGuardPermille: 10, FullSyncEveryDays: 7}
		resp, err := s.connections.UpdateConnection(s.admin(firmA), update(c, "options.new_record_policy"))
		require.NoError(t, err)
		o := resp.GetConnection().GetOptions()
		require.Equal(t, connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_REVIEW, o.GetNewRecordPolicy())
		require.Equal(t, connectorv1.RemovalPolicy_REMOVAL_POLICY_APPLY, o.GetRemovalPolicy(), "not in the mask")
		require.EqualValues(t, 100, o.GetRemovalGuardPermille())

		_, err = s.connections.UpdateConnection(s.admin(firmA), update(c))
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH)
		c.Etag = resp.GetConnection().GetEtag()
		resp, err = s.connections.UpdateConnection(s.admin(firmA), update(c))
		require.NoError(t, err)
		require.True(t, proto.Equal(c.GetOptions(), resp.GetConnection().GetOptions()))
		require.Len(t, told[*connectoreventsv1.ConnectionUpdated](s), 2)

		c.Etag = resp.GetConnection().GetEtag()
		resp, err = s.connections.UpdateConnection(s.admin(firmA), update(c))
		require.NoError(t, err)
		require.Equal(t, c.GetEtag(), resp.GetConnection().GetEtag(), "nothing was changed")
		require.Len(t, told[*connectoreventsv1.ConnectionUpdated](s), 2)

		for path, set := range map[string]func(*connectorv1.UpdateConnectionRequest){
			"tenant_name":           func(*connectorv1.UpdateConnectionRequest) {},
			"options.nothing":       func(*connectorv1.UpdateConnectionRequest) {},
			"options.contact_types": func(r *connectorv1.UpdateConnectionRequest) { r.Connection.Options.ContactTypes = []string{"x"} },
			"options":               func(r *connectorv1.UpdateConnectionRequest) { r.Connection.Etag = "" },
		} {
			req := update(c, path)
			set(req)
			_, err := s.connections.UpdateConnection(s.admin(firmA), req)
			require.Equal(t, codes.InvalidArgument, status.Code(err), path)
		}
		suspended := update(c, "removals_suspended")
		suspended.Connection.RemovalsSuspended = true
		_, err = s.connections.UpdateConnection(s.admin(firmA), suspended)
		require.Equal(t, codes.InvalidArgument, status.Code(err), "only a new connection suspends")
		foreign := update(c)
		foreign.Connection.Name = strings.Replace(c.GetName(), firmA, firmB, 1)
		_, err = s.connections.UpdateConnection(s.admin(firmB), foreign)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	})
}

func TestListConnections(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		first := s.connect(firmA, sim.Consultant, sim.PracticeName)
		second := s.connect(firmA, sim.Consultant, sim.SecondPracticeName)
		s.connect(firmB, sim.Owner, sim.PracticeName)
		list := func(size int32, token string) *connectorv1.ListConnectionsResponse {
			resp, err := s.connections.ListConnections(s.admin(firmA), &connectorv1.ListConnectionsRequest{Parent: "firms/" + firmA, PageSize: size, PageToken: token})
			require.NoError(t, err)
			return resp
		}
		page := list(1, "")
		require.Len(t, page.GetConnections(), 1)
		require.Equal(t, second.GetName(), page.GetConnections()[0].GetName(), "newest first")
		page = list(1, page.GetNextPageToken())
		require.Equal(t, first.GetName(), page.GetConnections()[0].GetName())
		require.Empty(t, page.GetNextPageToken())
		require.Len(t, list(0, "").GetConnections(), 2)
		require.Empty(t, list(2, "").GetNextPageToken())
		for _, token := range []string{"nonsense!", "bm9uc2Vuc2U", strings.Repeat("A", 900)} {
			_, err := s.connections.ListConnections(s.admin(firmA), &connectorv1.ListConnectionsRequest{Parent: "firms/" + firmA, PageToken: token})
			require.Equal(t, codes.InvalidArgument, status.Code(err), token)
		}
	})
}

func TestDisconnect(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		one := s.connect(firmA, sim.Consultant, sim.PracticeName)
		two := s.connect(firmA, sim.Consultant, sim.SecondPracticeName)
		require.Equal(t, "1", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM grants`), "one grant serves what one person consented to")
		resp, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: one.GetName()})
		require.NoError(t, err)
		require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_DISCONNECTED, resp.GetConnection().GetState())
		s.until("the tenant is removed at the provider", func() bool { return len(s.upstream()) == 1 })
		s.until("auth is told", func() bool { return !s.auth.requires(one.GetName()) })
		require.True(t, s.auth.requires(two.GetName()))
		require.Equal(t, "ACTIVE", s.cell(`SELECT status FROM grants`), "the other connection needs it")
		removed := told[*connectoreventsv1.ConnectionRemoved](s)
		require.Len(t, removed, 1)
		require.Equal(t, one.GetName(), removed[0].GetConnection())
		_, err = s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: one.GetName(), RecordId: firmA})
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)

		again, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: one.GetName()})
		require.NoError(t, err)
		require.Equal(t, resp.GetConnection().GetEtag(), again.GetConnection().GetEtag())
		require.Len(t, told[*connectoreventsv1.ConnectionRemoved](s), 1)

		_, err = s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: two.GetName()})
		require.NoError(t, err)
		s.until("the grant is closed", func() bool { return s.cell(`SELECT status FROM grants`) == "CLOSED" })
		require.Empty(t, s.upstream())
		require.Equal(t, "0", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM grants WHERE refresh_sealed IS NOT NULL OR access_sealed IS NOT NULL`))
		s.until("no chore is left", func() bool { return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM chores`) == "0" })
		_, err = s.connections.UpdateConnection(s.admin(firmA), update(again.GetConnection()))
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE)
	})
}

func TestDisconnectWhileTheProviderIsDown(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		fault := s.fault(world.Fault{Kind: faults.Status, Path: "/connections/*", Status: 503})
		s.auth.set(func(d *authDesk) { d.fail = status.Error(codes.Unavailable, "down") })
		resp, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName()})
		require.NoError(t, err)
		require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_DISCONNECTED, resp.GetConnection().GetState(), "for the firm it is over")
		s.until("both were tried", func() bool {
			return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM chores WHERE tries > 0`) == "2"
		})
		require.Len(t, s.upstream(), 1)
		require.NoError(t, s.remote.RemoveFault(t.Context(), fault))
		s.auth.set(func(d *authDesk) { d.fail = nil })
		s.clock.forward(10 * 60e9)
		s.until("the provider and auth are told", func() bool { return len(s.upstream()) == 0 && !s.auth.requires(c.GetName()) })
	})
}

// TestTwoFirmsShareAPersonsConnection: a bookkeeper connects one practice for two firms. The provider has one connection
// for both, and revoking one grant would end the other.
func TestTwoFirmsShareAPersonsConnection(t *testing.T) {
	s := onSQLite(t, options{})
	one := s.connect(firmA, sim.Consultant, sim.PracticeName)
	two := s.connect(firmB, sim.Consultant, sim.PracticeName)
	require.Len(t, s.upstream(), 1)
	_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: one.GetName()})
	require.NoError(t, err)
	s.until("the chores are done", func() bool { return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM chores`) == "0" })
	require.Len(t, s.upstream(), 1)
	_, err = s.records.GetRecord(s.asService("sync", firmB), &connectorv1.GetRecordRequest{Connection: two.GetName(), RecordId: firmB})
	require.NoError(t, err)
}

func TestConnectingAgainCallsBackWhatWasStillToBeTold(t *testing.T) {
	s := onSQLite(t, options{still: true})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName()})
	require.NoError(t, err)
	again := s.connect(firmA, sim.Owner, sim.PracticeName)
	require.Equal(t, c.GetName(), again.GetName())
	s.work()
	s.until("what is left is done", func() bool { return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM chores`) == "0" })
	require.Len(t, s.upstream(), 1)
	require.True(t, s.auth.requires(c.GetName()))
	_, err = s.records.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: c.GetName(), RecordId: firmA})
	require.NoError(t, err)
}

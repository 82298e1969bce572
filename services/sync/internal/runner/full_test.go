package runner_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

func TestFirstFullMakesClientsAndContacts(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(45)
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.True(t, r.Proven, r.UnprovenReason)
		require.EqualValues(t, 45, r.Counts.ClientsCreated)
		require.EqualValues(t, 45, r.Counts.ContactsCreated)
		require.EqualValues(t, 10, r.Calls, "five pages of each listing and nothing else")
		require.EqualValues(t, 10, r.Pages)
		require.False(t, r.FirstVisibleAt.IsZero())
		require.True(t, r.FirstVisibleAt.Before(r.EndedAt))

		c := b.Client("r0010")
		require.Equal(t, "Client 0010 Pty Ltd", c.Fields.Name)
		require.Equal(t, client.Listed, c.State)
		require.Equal(t, peertest.Connection, c.ListSource)
		require.True(t, c.Synced)
		k := b.ContactOf("p0010")
		require.Len(t, k.Relations, 2, "the tenth person belongs to the next client too")

		require.EqualValues(t, 45, b.Count(`events_outbox WHERE subject = 'sync.v1.client_created'`))
		require.EqualValues(t, 45, b.Count(`events_outbox WHERE subject = 'sync.v1.contact_relations_changed'`))
		require.EqualValues(t, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.run_finished'`))
		require.EqualValues(t, 45, b.Count(`history WHERE seq = 1 AND kind = $1`, history.ClientCreated))
		require.Len(t, b.Changes(r, plan.Create), 45)
		for _, left := range []string{"run_pages", "staged_contacts", "staged_updates"} {
			require.Zero(t, b.Count(left), left)
		}
	})
}

func TestNothingChangedWritesNothing(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(45)
		b.Sync(run.Full)
		b.World.Forget()
		told := b.Count(`events_outbox`)
		// Its own are the run itself, the ids on its pages until it ends, and the event that it ended.
		forbidAllBut(b, "runs", "run_pages", "events_outbox")
		for _, kind := range []run.Kind{run.Full, run.Manual} {
			r := b.Sync(kind)
			require.Equal(t, run.Succeeded, r.State, r.Message)
			require.False(t, r.HasPlan)
		}
		require.Equal(t, 11, b.World.Calls("StreamRecords"))
		require.Zero(t, b.World.Calls("GetRecord"))
		require.EqualValues(t, 3, b.Count(`events_outbox WHERE subject = 'sync.v1.run_finished'`))
		require.EqualValues(t, told+2, b.Count(`events_outbox`))
		require.Zero(t, b.Count(`run_pages`))
	})
}

// forbidAllBut makes every write to all other tables of the database fail from now on.
func forbidAllBut(b *peertest.Bench, own ...string) {
	query := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if b.DB.Dialect() == sqldb.Postgres {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	var others []string
	b.Read(func(tx *sqldb.Tx) (err error) {
		others, err = sqldb.Collect(tx, func(r *sqldb.Rows) (name string, err error) { return name, r.Scan(&name) }, query)
		return err
	})
	others = slices.DeleteFunc(others, func(name string) bool { return slices.Contains(own, name) })
	require.Greater(b.T, len(others), 15)
	forbid(b, others...)
}

// forbid makes every write to the tables fail from now on.
func forbid(b *peertest.Bench, tables ...string) {
	b.Tx(func(tx *sqldb.Tx) error {
		if tx.Dialect() == sqldb.Postgres {
			if _, err := tx.Exec(`CREATE FUNCTION forbidden() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN RAISE EXCEPTION 'a write to %', TG_TABLE_NAME; END $$`); err != nil {
				return err
			}
		}
		for _, table := range tables {
			for _, op := range []string{"INSERT", "UPDATE", "DELETE"} {
				body := ` BEGIN SELECT RAISE(ABORT, 'a write to ` + table + `'); END`
				if tx.Dialect() == sqldb.Postgres {
					body = ` FOR EACH ROW EXECUTE FUNCTION forbidden()`
				}
				if _, err := tx.Exec(fmt.Sprintf(`CREATE TRIGGER forbid_%s_%s BEFORE %s ON %s%s`, table, op, op, table, body)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func TestRenameKeepsTheClient(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(12)
		b.Sync(run.Full)
		before := b.Client("r0003")
		b.World.Change("r0003", func(c *peertest.Client) { c.Fields.Name, c.Fields.Code = "Renamed Trust", "" })
		b.World.Change("r0004", func(c *peertest.Client) { c.Fields.Phone = "02 9999 0000" })
		for _, kind := range []run.Kind{run.Manual, run.Full} { // the second finds nothing left to do
			b.Sync(kind)
		}
		after := b.Client("r0003")
		require.Equal(t, before.ID, after.ID)
		require.Equal(t, "Renamed Trust", after.Fields.Name)
		require.Equal(t, before.Version+1, after.Version)
		require.EqualValues(t, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.client_updated'`), "a phone is no event")
		require.EqualValues(t, 2, b.Count(`history WHERE kind = $1`, history.FieldChanged))
		var said string
		b.Read(func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT summary FROM history WHERE client = $1 AND seq = 2`, after.ID).Scan(&said)
		})
		require.Equal(t, `name changed from "Client 0003 Pty Ltd" to "Renamed Trust"; code "C0003" removed`, said)
	})
}

func TestDuplicateNamesAndMissingCodesAreOrdinary(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		for i := range 6 {
			b.World.PutClient(fmt.Sprintf("r%d", i), &connectorv1.ClientFields{Name: "Acmer Pty Ltd"})
		}
		require.EqualValues(t, 6, b.Sync(run.Full).Counts.ClientsCreated)
		r := b.Sync(run.Full)
		require.EqualValues(t, 6, r.Counts.ClientsUnchanged)
		require.EqualValues(t, 6, b.Count("clients"))
	})
}

func TestLaterChangesWinOverEarlierPages(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(3)
		b.Sync(run.Full)
		// Somebody agreed on newer values while a listing was being read: its page, answered before, changes nothing.
		b.Tx(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE links SET base_at = $1 WHERE record_id = 'r0002'`, sqldb.Micros(b.World.Now().Add(time.Hour)))
			return err
		})
		b.World.Change("r0002", func(c *peertest.Client) { c.Fields.Name = "Older" })
		b.Sync(run.Full)
		require.Equal(t, "Client 0002 Pty Ltd", b.Client("r0002").Fields.Name)
	})
}

func TestManualRunGoesOnFromTheLast(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(12)
		b.Sync(run.Full)
		b.World.Forget()
		b.World.PutClient("r9000", &connectorv1.ClientFields{Name: "New here"})
		b.World.PutContact("p9000", "New person", "r9000", "r0001")
		b.World.Archive("r0005")
		r := b.Sync(run.Manual)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.EqualValues(t, 1, r.Counts.ClientsCreated)
		require.EqualValues(t, 1, r.Counts.ContactsCreated)
		require.Equal(t, client.Listed, b.Client("r0005").State, "a manual run never removes")
		require.Equal(t, 1, b.World.Calls("StreamRecords"))
		require.Len(t, b.ContactOf("p9000").Relations, 2, "each changed client came with its contacts")

		r = b.Sync(run.Full)
		require.EqualValues(t, 1, r.Counts.Started)
		require.Len(t, b.ContactOf("p9000").Relations, 2)
	})
}

func TestMoreClientsThanOnePageAreListedEarly(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.World.FailLater("StreamRecords", 1, 1, unavailable)
		id := b.Start(run.Full)
		b.Work()
		r := b.Run(id)
		require.Equal(t, run.Parked, r.State)
		require.EqualValues(t, 10, b.Count(`clients WHERE state = 'LISTED'`), "the first page is there before the second is read")
		require.Equal(t, "the provider can not be reached", r.Message)
		require.False(t, r.FirstVisibleAt.IsZero())
		require.EqualValues(t, 10, r.Done)
		require.EqualValues(t, 30, r.Total)
	})
}

func TestTwoConnectionsNeverMakeOneClientTwice(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(5)
		b.Sync(run.Full)
		other := "0195f000-0000-7000-8000-0000000000c2"
		b.Tx(func(tx *sqldb.Tx) error {
			return store.PutConnection(tx, run.Connection{ID: other, Firm: peertest.Firm, Provider: "XERO", Tenant: "tenant-1", State: run.ConnectionActive}, 1)
		})
		b.Tx(func(tx *sqldb.Tx) error {
			c, err := store.Connection(tx, peertest.Firm, other)
			if err == nil {
				_, _, err = store.StartRun(tx, c, run.Full, "test", "", b.Clock.Now())
			}
			return err
		})
		b.Work()
		require.EqualValues(t, 5, b.Count("clients"))
		require.EqualValues(t, 5, b.Count(`changes WHERE kind = 'LINK' AND state = 'WAITING' AND connection = $1`, other))
	})
}

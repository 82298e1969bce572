package runner_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// meanwhile runs a full sync while a transaction that began before it holds its locks, and commits that once the sync
// waits for one of them. Only PostgreSQL lets two transactions write at a time.
func meanwhile(t *testing.T, b *peertest.Bench, fn func(tx *sqldb.Tx) error) {
	t.Helper()
	locked, commit := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := b.DB.Tx(context.Background(), func(tx *sqldb.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			select {
			case <-locked:
				return errors.New("the transaction had to be repeated")
			default:
				close(locked)
			}
			<-commit
			return nil
		}, sqldb.ReadCommitted)
		if err != nil {
			t.Errorf("meanwhile: %v", err)
		}
	})
	<-locked
	id := b.Start(run.Full)
	wg.Go(b.Work)
	require.Eventually(t, func() bool {
		return b.Count(`pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR %UPDATE%'`) > 0
	}, time.Minute, 5*time.Millisecond, "the sync waits for the lock")
	require.Equal(t, run.Settling, b.Run(id).Step)
	close(commit)
	wg.Wait()
	require.Equal(t, run.Succeeded, b.Run(id).State, b.Run(id).Message)
}

func onPostgres(t *testing.T) *peertest.Bench {
	b := peertest.NewBench(t, sqldbtest.Open(t, sqldbtest.URL(t, sqldb.Postgres), peertest.Schema))
	b.World.Practice(12)
	b.Sync(run.Full)
	return b
}

// move makes the sync write the relation of a contact anew.
func move(b *peertest.Bench, contact string) {
	b.World.ChangeContact(contact, func(f *connectorv1.ContactFields) { f.Links[0].Position = "Secretary" })
}

func TestClientThatLeavesWhileContactsAreSettled(t *testing.T) {
	b := onPostgres(t)
	move(b, "p0003")
	meanwhile(t, b, func(tx *sqldb.Tx) error {
		id := b.ClientIn(tx, "r0003")
		if _, err := store.LockClient(tx, peertest.Firm, id); err != nil {
			return err
		}
		if err := store.HideRelations(tx, id, "off-boarding"); err != nil {
			return err
		}
		return store.SetClientState(tx, id, client.Offboarded, "off-boarding", nil, b.Clock.Now())
	})
	require.Zero(t, b.Count(`relations r JOIN clients c ON c.id = r.client WHERE c.state = 'OFFBOARDED' AND r.left_with = ''`))
	require.EqualValues(t, 1, b.Count(`relations WHERE left_with = 'off-boarding' AND position = 'Secretary'`))
}

func TestClientThatComesBackWhileContactsAreSettled(t *testing.T) {
	b := onPostgres(t)
	b.Tx(func(tx *sqldb.Tx) error {
		id := b.ClientIn(tx, "r0003")
		if err := store.HideRelations(tx, id, "off-boarding"); err != nil {
			return err
		}
		return store.SetClientState(tx, id, client.Offboarded, "off-boarding", nil, b.Clock.Now())
	})
	move(b, "p0003")
	meanwhile(t, b, func(tx *sqldb.Tx) error {
		id := b.ClientIn(tx, "r0003")
		if _, err := store.LockClient(tx, peertest.Firm, id); err != nil {
			return err
		}
		if err := store.ShowRelations(tx, id, "off-boarding"); err != nil {
			return err
		}
		return store.SetClientState(tx, id, client.Listed, "off-boarding", nil, b.Clock.Now())
	})
	require.Zero(t, b.Count(`relations WHERE left_with <> ''`))
	require.EqualValues(t, 1, b.Count(`relations WHERE position = 'Secretary'`))
}

func TestRecordThatIsLinkedWhileContactsAreSettled(t *testing.T) {
	b := onPostgres(t)
	b.Connect(func(c *run.Connection) { c.ReviewNew = true })
	b.World.PutClient("r9000", &connectorv1.ClientFields{Name: "Waits for a decision"})
	b.World.PutContact("p0003", "Person 0003", "r0003", "r9000")
	b.Sync(run.Full)
	require.EqualValues(t, 1, b.Count(`relations WHERE client = ''`))
	move(b, "p0003")
	b.World.ChangeContact("p0003", func(f *connectorv1.ContactFields) { f.Links[1].Position = "Trustee" })
	meanwhile(t, b, func(tx *sqldb.Tx) error {
		id := store.NewID()
		err := store.InsertClients(tx, peertest.Firm, b.Clock.Now(), []store.NewClient{{
			ID: id, Fields: client.Fields{Name: "Decided"}, ListSource: peertest.Connection, Link: &store.NewLink{
				Connection: peertest.Connection, Tenant: "tenant-1", Record: "r9000", Hash: "x", At: b.World.Now(),
			},
		}})
		if err != nil {
			return err
		}
		return store.TieRelations(tx, peertest.Firm, peertest.Connection, "tenant-1", []string{"r9000"}, b.Clock.Now())
	})
	require.Zero(t, b.Count(`relations WHERE client = ''`), "the contact belongs to the new client")
	require.EqualValues(t, 1, b.Count(`relations WHERE position = 'Trustee'`))
	b.Invariants()
}

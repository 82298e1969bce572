package runner_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/legacies"
)

// existing makes a client by hand and returns its id.
func existing(b *peertest.Bench, f client.Fields) string {
	b.T.Helper()
	id := store.NewID()
	b.Tx(func(tx *sqldb.Tx) error {
		return store.InsertClients(tx, peertest.Firm, b.Clock.Now(), []store.NewClient{{ID: id, Fields: f, Actor: "somebody", Summary: "entered"}})
	})
	return id
}

// A client that goes by another name here than at the legacy connection is not made a second time while its link waits.
func TestRecordsThatLinksWaitForAreNobodysDouble(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(6)
		for _, id := range []string{"r0001", "r0002"} {
			b.World.Change(id, func(c *peertest.Client) { c.Fields.Name, c.Fields.Code = "Abel", "SAME" })
		}
		who := existing(b, client.Fields{Name: "The Holdings of Somebody", Code: "OURS"})
		b.Legacy(legacy.Link{Name: "Abel", Code: "SAME", LegacyID: "1", Client: who})
		b.Sync(run.Upgrade)
		require.Len(t, b.LegacyLinks()["Abel"].Candidates, 2)
		full := follow(b)
		require.EqualValues(t, 2, full.Counts.Suggestions)
		require.EqualValues(t, 4, full.Counts.ClientsCreated)
		require.EqualValues(t, 5, b.Count("clients"))
		waiting := b.Changes(full, plan.Link)
		require.Len(t, waiting, 2)
		require.Equal(t, who, waiting[0].Client)
		require.Contains(t, waiting[0].Evidence, "it may be what the legacy connection had as Abel: somebody decides")
		// Once it is decided, the other record is somebody of its own.
		b.Tx(func(tx *sqldb.Tx) error {
			c, err := store.LockClient(tx, peertest.Firm, who)
			if err != nil {
				return err
			}
			if err := store.LinkClients(tx, peertest.Firm, peertest.Connection, "tenant-1", b.Clock.Now(), []store.Linking{{
				Client: c, Actor: "somebody", Summary: "linked", Link: store.NewLink{
					Connection: peertest.Connection, Tenant: "tenant-1", Record: "r0001", Base: c.Fields, At: b.Clock.Now(),
				},
			}}); err != nil {
				return err
			}
			return legacies.Settle(tx, peertest.Connection, who, "r0001", "by a person's decision", "somebody", b.Clock.Now())
		})
		require.Equal(t, who, b.Client("r0001").ID)
		b.Invariants()
	})
}

// The record of one link's integer id is not taken by another link's code, in whichever order they are looked at.
func TestTheIntegerIDGoesBeforeAnothersCode(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.PutClient("r1", &connectorv1.ClientFields{Name: "Abel", Code: "ABC"})
		b.World.Change("r1", func(c *peertest.Client) { c.LegacyID = "12" })
		b.Legacy(legacy.Link{Name: "By code", Code: "ABC"})
		for range 10 { // a batch and more, so that the links are not looked at together
			b.Legacy(legacy.Link{Name: "Between"})
		}
		b.Legacy(legacy.Link{Name: "By id", LegacyID: "12"})
		b.Sync(run.Upgrade)
		require.Equal(t, "r1", b.LegacyLinks()["By id"].Record)
		require.Equal(t, legacy.Unmapped, b.LegacyLinks()["By code"].State)
		require.Contains(t, b.LegacyLinks()["By code"].Explanation, "had the integer id 12, which another link has")
	})
}

var refusedLegacy = provider(codes.FailedPrecondition, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_REFUSED, "there is no such listing any more")

// An upgrade that fails is tried again soon, and for a practice that goes on without it nothing stands still.
func TestUpgradeThatNeverWorks(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(3)
		b.Connect(func(c *run.Connection) { c.FullEveryDays = 30 })
		b.Legacy(legacy.Link{Name: "Former", LegacyID: "1"})
		b.World.Fail("StreamRecords", 1, refusedLegacy)
		require.Equal(t, run.Failed, b.Sync(run.Upgrade).State)
		require.EqualValues(t, 1, scheduled(b), "not at once")
		b.World.Fail("StreamRecords", 1, refusedLegacy)
		b.Clock.Turn(6*time.Hour + time.Minute)
		require.EqualValues(t, 2, scheduled(b))
		require.EqualValues(t, 2, b.Count(`runs WHERE kind = 'UPGRADE' AND state = 'FAILED'`), "no full run overtakes it")

		require.Equal(t, run.Succeeded, b.Sync(run.Full).State) // by a person's word
		b.Clock.Turn(time.Minute)
		b.Tx(func(tx *sqldb.Tx) error { return store.WantManual(tx, peertest.Firm, peertest.Connection) })
		require.EqualValues(t, 4, scheduled(b))
		require.EqualValues(t, 1, b.Count(`runs WHERE kind = 'MANUAL'`), "news are read")
		b.Clock.Turn(31 * day)
		b.World.Fail("StreamRecords", 1, refusedLegacy)
		require.EqualValues(t, 5, scheduled(b), "the upgrade is tried once more")
		require.EqualValues(t, 6, scheduled(b))
		require.EqualValues(t, 2, b.Count(`runs WHERE kind = 'FULL' AND state = 'SUCCEEDED'`), "and the full run is due all the same")
		require.EqualValues(t, 6, scheduled(b))
	})
}

// An administrator disconnects in the middle and connects again: what is open is looked at anew, by the new connection.
func TestDisconnectedWhileLinksAreOpen(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		before(b, 10)
		who := existing(b, client.Fields{Name: "Not so called upstream"})
		b.World.PutClient("r0900", &connectorv1.ClientFields{Name: "Later"})
		b.Legacy(legacy.Link{Name: "Later", LegacyID: "900", Client: who})
		b.Legacy(legacy.Link{Name: "Nobody any more"})
		b.Sync(run.Upgrade)
		require.Equal(t, legacy.Suggested, b.LegacyLinks()["Later"].State)
		require.NotZero(t, b.Count("legacy_records"))
		b.Connect(func(c *run.Connection) { c.State = run.ConnectionDisconnected })
		require.Zero(t, b.Count("legacy_records"), "nobody decides from it any more")

		b.World.Change("r0900", func(c *peertest.Client) { c.LegacyID, c.Fields.Name = "900", "Renamed since" })
		const second = "0195f000-0000-7000-8000-0000000000c2"
		b.Tx(func(tx *sqldb.Tx) error {
			c := run.Connection{
				ID: second, Firm: peertest.Firm, Provider: "XPM", Tenant: "tenant-1", State: run.ConnectionActive,
				EstablishedAt: b.Clock.Now(), Guard: plan.Guard{Permille: 100, Floor: 5},
			}
			if err := store.PutConnection(tx, c, sqldb.Micros(b.Clock.Now())); err != nil {
				return err
			}
			adopted, err := store.AdoptLinks(tx, c)
			require.True(t, adopted)
			if err == nil {
				err = store.WantFull(tx, second, "connection")
			}
			return err
		})
		require.Equal(t, run.Upgrade, follow(b).Kind)
		require.NoError(t, b.Runner.Schedule(context.Background()))
		b.Work()
		require.EqualValues(t, 1, b.Count(`runs WHERE kind = 'FULL' AND state = 'SUCCEEDED'`))
		require.EqualValues(t, 12, b.Count("clients"), "nobody is doubled")
		require.Equal(t, who, b.Client("r0900").ID)
		require.EqualValues(t, 11, b.Count(`legacy_links WHERE connection = $1 AND state = 'MAPPED'`, second))
	})
}

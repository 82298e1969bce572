package runner_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// before makes a practice of n clients and their contacts upstream, and legacy links of the same clients: of every third
// neither name nor code is what it was, of every fifth the integer id is not known.
func before(b *peertest.Bench, n int) {
	b.T.Helper()
	b.World.Practice(n)
	for i := 1; i <= n; i++ {
		id, integer := fmt.Sprintf("r%04d", i), fmt.Sprint(100+i)
		b.World.Change(id, func(c *peertest.Client) { c.LegacyID = integer })
		l := legacy.Link{Name: fmt.Sprintf("Client %04d Pty Ltd", i), Code: fmt.Sprintf("C%04d", i), LegacyID: integer}
		switch {
		case i%5 == 0:
			l.LegacyID = ""
		case i%3 == 0:
			l.Name, l.Code = fmt.Sprintf("Former %d", i), fmt.Sprintf("F%d", i)
		}
		b.Legacy(l)
	}
}

// follow has the run done that the schedule starts, and returns it.
func follow(b *peertest.Bench) run.Run {
	b.T.Helper()
	require.NoError(b.T, b.Runner.Schedule(context.Background()))
	var id string
	b.Read(func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT id FROM runs WHERE state = 'QUEUED'`).Scan(&id)
	})
	b.Work()
	return b.Run(id)
}

func TestUpgradeMapsAndTheFullRunFollows(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		before(b, 30)
		b.World.Archive("r0007")
		r := b.Sync(run.Upgrade)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.True(t, r.Proven, r.UnprovenReason)
		require.EqualValues(t, 30, r.Counts.LegacyMapped)
		require.Zero(t, r.Counts.LegacySuggested+r.Counts.LegacyUnmapped)
		require.EqualValues(t, 30, r.ListedClients, "archived ones too")
		require.EqualValues(t, 30, b.Count("clients"), "an upgrade makes nobody")
		require.EqualValues(t, 30, b.Count(`history WHERE kind = $1`, history.ClientLinked))
		require.Len(t, b.Changes(r, plan.Link), 30)
		former := b.Client("r0003")
		require.Equal(t, "Former 3", former.Fields.Name, "the full run brings what differs")
		require.Equal(t, peertest.Connection, former.ListSource)
		require.Equal(t, "by the id pair 103", b.LegacyLinks()["Former 3"].Explanation)
		require.Contains(t, b.LegacyLinks()["Client 0005 Pty Ltd"].Explanation, "by the code C0005")
		require.Equal(t, "by the id pair 107; the record is archived", b.LegacyLinks()["Client 0007 Pty Ltd"].Explanation)
		require.Zero(t, b.Count("legacy_records"), "nothing is left to decide from it")
		b.Invariants()

		full := follow(b)
		require.Equal(t, run.Full, full.Kind)
		require.True(t, full.First)
		require.Zero(t, full.Counts.ClientsCreated, "nobody is doubled")
		require.Zero(t, full.Counts.Suggestions)
		require.Contains(t, full.Message, "removes nothing")
		require.EqualValues(t, 30, b.Count("clients"))
		now := b.Client("r0003")
		require.Equal(t, former.ID, now.ID)
		require.Equal(t, "Client 0003 Pty Ltd", now.Fields.Name)
		require.Equal(t, "c3@example.com", now.Fields.Email)
		var said string
		b.Read(func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT summary FROM history WHERE client = $1 AND kind = $2`, now.ID, history.FieldChanged).Scan(&said)
		})
		require.Contains(t, said, `name changed from "Former 3" to "Client 0003 Pty Ltd"`)
		require.Equal(t, client.Listed, b.Client("r0007").State, "the first full run removes nobody")
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.Started, "the next one does, with its proof")
		b.Offboard()
		require.Equal(t, client.Offboarded, b.Client("r0007").State)
		b.Invariants()
	})
}

func TestWhatCannotBeMappedIsSuggestedAndNeverDoubled(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(12)
		for id, name := range map[string]string{"r0001": "Abel", "r0002": "Abel", "r0003": "Blum"} { // one code, twice
			b.World.Change(id, func(c *peertest.Client) {
				c.Fields.Name, c.Fields.Code = name, map[bool]string{true: "SAME", false: ""}[name == "Abel"]
			})
		}
		for _, l := range []legacy.Link{
			{Name: "Abel", Code: "SAME", LegacyID: "1"}, {Name: "Blum", LegacyID: "2"}, {Name: "Nobody", Code: "NONE", LegacyID: "3"},
		} {
			b.Legacy(l)
		}
		r := b.Sync(run.Upgrade)
		require.EqualValues(t, 2, r.Counts.LegacySuggested)
		require.EqualValues(t, 1, r.Counts.LegacyUnmapped)
		links := b.LegacyLinks()
		require.Len(t, links["Abel"].Candidates, 2)
		require.Equal(t, "r0003", links["Blum"].Candidates[0].Record)
		require.Equal(t, []string{`same name "Blum"`}, links["Blum"].Candidates[0].Evidence)
		require.Equal(t, "no free record has the integer id 3, the code NONE or the name Nobody", links["Nobody"].Explanation)
		require.EqualValues(t, 12, b.Count("legacy_records"), "somebody decides from them")

		full := follow(b)
		require.EqualValues(t, 3, full.Counts.Suggestions)
		require.EqualValues(t, 9, full.Counts.ClientsCreated)
		require.EqualValues(t, 12, b.Count("clients"))
		// Nothing new is there for a second upgrade, and nothing is written for what stands as it did.
		forbid(b, "legacy_links", "links", "clients")
		again := b.Sync(run.Upgrade)
		require.Equal(t, run.Succeeded, again.State, again.Message)
		require.EqualValues(t, 2, again.Counts.LegacySuggested)
	})
}

func TestSecondUpgradeMapsOnlyWhatIsOpen(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		before(b, 10)
		b.Sync(run.Upgrade)
		// Later another link is imported, somebody has dismissed one, and one record was told its integer id.
		b.Legacy(legacy.Link{Name: "Late", Code: "L", LegacyID: "900"})
		b.Legacy(legacy.Link{Name: "Dismissed", LegacyID: "901"})
		b.World.PutClient("r0900", &connectorv1.ClientFields{Name: "Renamed since"})
		b.World.Change("r0900", func(c *peertest.Client) { c.LegacyID = "900" })
		b.Tx(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE legacy_links SET state = 'DISMISSED' WHERE legacy_id = '901'`)
			return err
		})
		was := b.LegacyLinks()["Client 0001 Pty Ltd"]
		r := b.Sync(run.Upgrade)
		require.EqualValues(t, 1, r.Counts.LegacyMapped)
		require.Equal(t, "r0900", b.LegacyLinks()["Late"].Record)
		require.Equal(t, legacy.Dismissed, b.LegacyLinks()["Dismissed"].State)
		require.Equal(t, was, b.LegacyLinks()["Client 0001 Pty Ltd"])
	})
}

// Staff work on while the upgrade does: what they did stands.
func TestStaffWorkDuringAnUpgrade(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		before(b, 20)
		links := b.LegacyLinks()
		left, linked, other := links["Client 0001 Pty Ltd"].Client, links["Client 0002 Pty Ltd"].Client, "r0019"
		once := false
		b.World.Spoil(func(*connectorv1.StreamRecordsResponse) {
			if once {
				return
			}
			once = true
			b.Tx(func(tx *sqldb.Tx) error {
				// One has left by a person's word before, one is linked to another record, and one is renamed.
				if _, err := tx.Exec(`UPDATE clients SET state = 'OFFBOARDED', offboarding = 'o' WHERE id = $1`, left); err != nil {
					return err
				}
				if _, err := tx.Exec(`INSERT INTO offboardings (id, firm, client, client_name, state, step, origin, reason, started_by,
					history_document, filed_seq, created_at) VALUES ('o', $1, $2, 'x', 'DONE', 'DONE', 'HAND', 'left', 'somebody', 'd', 1, 1)`,
					peertest.Firm, left); err != nil {
					return err
				}
				who, err := store.LockClient(tx, peertest.Firm, linked)
				if err != nil {
					return err
				}
				return store.LinkClients(tx, peertest.Firm, peertest.Connection, "tenant-1", b.Clock.Now(), []store.Linking{{
					Client: who, Actor: "somebody", Summary: "linked", Link: store.NewLink{
						Connection: peertest.Connection, Tenant: "tenant-1", Record: other, Hash: "h", Base: who.Fields, At: b.Clock.Now(),
					},
				}})
			})
		})
		r := b.Sync(run.Upgrade)
		b.World.Heal()
		require.Equal(t, run.Succeeded, r.State, r.Message)
		links = b.LegacyLinks()
		require.Equal(t, other, links["Client 0002 Pty Ltd"].Record)
		require.Equal(t, "its client is linked to this record already", links["Client 0002 Pty Ltd"].Explanation)
		require.Equal(t, legacy.Unmapped, links["Client 0019 Pty Ltd"].State)
		require.Contains(t, links["Client 0019 Pty Ltd"].Explanation, "linked to another client by now")
		require.Equal(t, legacy.Mapped, links["Client 0001 Pty Ltd"].State)
		follow(b)
		b.Offboard()
		require.Equal(t, client.Offboarded, b.Client("r0001").State, "a person's word stands")
		b.Invariants()
	})
}

// TestUpgradeKilledAtEveryCommit cuts the worker off at each of its commits, done or not done, and lets another go on.
func TestUpgradeKilledAtEveryCommit(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		killed := 0
		for n := 1; ; n++ {
			for _, after := range []bool{false, true} {
				dead := false
				t.Run(fmt.Sprintf("%d, done %v", n, after), func(t *testing.T) {
					dead = upgradeKilledAt(t, fresh(t, url), n, after)
				})
				if !dead {
					require.Greater(t, killed, 8, "so many commits at least are there to be cut off at")
					return
				}
				killed++
			}
		}
	})
}

func fresh(t *testing.T, url string) string {
	t.Helper()
	engine := sqldb.SQLite
	if url[:len("postgres")] == "postgres" {
		engine = sqldb.Postgres
	}
	return sqldbtest.URL(t, engine)
}

func upgradeKilledAt(t *testing.T, url string, n int, after bool) (dead bool) {
	b := peertest.NewBench(t, sqldbtest.Open(t, url, peertest.Schema))
	before(b, 13)
	b.World.PartSize = 7
	id := b.Start(run.Upgrade)
	killer := &peertest.Killer{}
	mortal := sqldbtest.Open(t, url, nil, killer.Option())
	killer.Arm(n, after)
	b.Hire(mortal)
	for !killer.Dead() {
		if err := b.Runner.Step(context.Background(), func() {}); errors.Is(err, lease.ErrIdle) {
			break
		}
	}
	dead = killer.Dead()
	b.Hire(b.DB)
	b.Invariants()
	b.Clock.Turn(peertest.Lease + time.Second)
	b.Work()
	b.Invariants()
	r := b.Run(id)
	require.Equal(t, run.Succeeded, r.State, r.Message)
	require.EqualValues(t, 13, r.Counts.LegacyMapped, "each is counted once")
	require.EqualValues(t, 13, b.Count("links"))
	require.EqualValues(t, 13, b.Count(`history WHERE kind = $1`, history.ClientLinked), "and linked once")
	require.EqualValues(t, 1, b.Count(`connections WHERE full_wanted`))
	return dead
}

func TestUpgradeParksAndIsCancelled(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		before(b, 30)
		until := b.Clock.Now().Add(3 * time.Hour).UTC().Truncate(time.Second)
		limit := rpcerr.New(codes.ResourceExhausted, connectorv1.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED, "used up").
			With("until", until.Format(time.RFC3339)).GRPCStatus().Err()
		b.World.FailLater("StreamRecords", 2, 1, limit)
		id := b.Start(run.Upgrade)
		b.Work()
		require.Equal(t, run.Parked, b.Run(id).State)
		require.Equal(t, until, b.Run(id).WaitUntil)
		require.EqualValues(t, 20, b.Run(id).Done)
		b.Tx(func(tx *sqldb.Tx) error {
			_, err := store.CancelRun(tx, peertest.Firm, id, "somebody", b.Clock.Now())
			return err
		})
		require.Zero(t, b.Count("legacy_records"), "half a listing is of no use")
		require.Zero(t, b.Count("links"))
		// The schedule does not let a full run overtake it.
		b.Connect(func(c *run.Connection) { c.FullEveryDays = 30 })
		b.Clock.Turn(31 * day)
		next := follow(b)
		require.Equal(t, run.Upgrade, next.Kind)
		require.Equal(t, run.Succeeded, next.State, next.Message)
		require.Equal(t, run.Full, follow(b).Kind)
	})
}

func TestUpgradeOfAPracticeThatAnswersNothing(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.Legacy(legacy.Link{Name: "Abel", LegacyID: "1"})
		r := b.Sync(run.Upgrade)
		require.Equal(t, run.Failed, r.State)
		require.Contains(t, r.Message, "nothing was mapped")
		require.Equal(t, legacy.Pending, b.LegacyLinks()["Abel"].State)
		require.Zero(t, b.Count(`connections WHERE full_wanted`))
		// Tried again by the schedule, after a pause.
		b.Tx(func(tx *sqldb.Tx) error { return store.WantFull(tx, peertest.Connection, "connection") })
		require.EqualValues(t, 1, scheduled(b))
		b.Clock.Turn(6*time.Hour + time.Minute)
		require.EqualValues(t, 2, scheduled(b))
	})
}

func TestUpgradeFromAListingThatMoved(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		before(b, 20)
		b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.Drifted = true })
		r := b.Sync(run.Upgrade)
		require.Equal(t, run.Succeeded, r.State)
		require.False(t, r.Proven)
		require.EqualValues(t, 16, r.Counts.LegacyMapped, "the id is the id")
		require.EqualValues(t, 4, r.Counts.LegacySuggested, "that a code stands once can't be told")
	})
}

package runner_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// byHand off-boards the client of a record by a person's word.
func byHand(b *peertest.Bench, record string) {
	b.T.Helper()
	id := store.NewID()
	b.Tx(func(tx *sqldb.Tx) error {
		who := b.ClientIn(tx, record)
		if err := store.StartOffboarding(tx, offboard.Offboarding{
			ID: id, Firm: peertest.Firm, Client: who, ClientName: record, Origin: offboard.ByHand, Reason: "left", StartedBy: "somebody",
		}, "by hand", b.Clock.Now()); err != nil {
			return err
		}
		return store.SetClientState(tx, who, client.Leaving, id, nil, b.Clock.Now())
	})
	b.Offboard()
	require.Equal(b.T, client.Offboarded, b.Client(record).State)
}

// choose changes what of the tenant is listed: these records are left out from now on, and the others are not.
func choose(b *peertest.Bench, selection string, hidden ...string) {
	for _, id := range records(1, 30) {
		b.World.Change(id, func(c *peertest.Client) { c.Hidden = false })
	}
	for _, id := range hidden {
		b.World.Change(id, func(c *peertest.Client) { c.Hidden = true })
	}
	b.Connect(func(c *run.Connection) { c.Selection = selection })
}

func TestOutOfScopeIsNotAbsentForWhoLeftByHand(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		byHand(b, "r0002")
		choose(b, `["CUSTOMER"]`, records(1, 3)...)
		for range 3 { // not at the change, nor at any later run with the same choice
			r := b.Sync(run.Full)
			require.Equal(t, run.Succeeded, r.State, r.Message)
			require.Zero(t, r.Counts.Candidates)
		}
		require.Zero(t, b.Count(`links WHERE presence <> 'PRESENT'`), "out of scope is not gone")
		choose(b, "")
		for range 2 {
			require.Zero(t, b.Sync(run.Full).Counts.ClientsRestored)
		}
		b.Offboard()
		require.Equal(t, client.Offboarded, b.Client("r0002").State, "a person's word stands")

		// What the provider itself archives meanwhile and brings back later, is back.
		b.World.Archive("r0002")
		b.Sync(run.Full)
		b.World.Unarchive("r0002")
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.ClientsRestored)
	})
}

func TestWhoLeavesByHandWhileTheChoiceNarrows(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		choose(b, `["CUSTOMER"]`, "r0002")
		b.Sync(run.Full)
		byHand(b, "r0002")
		b.Sync(run.Full)
		choose(b, "")
		require.Zero(t, b.Sync(run.Full).Counts.ClientsRestored)
	})
}

func TestOnlyProvenListingsTellWhatWasChosenBefore(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		choose(b, `["CUSTOMER"]`, records(1, 3)...)
		b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.Drifted = true })
		require.False(t, b.Sync(run.Full).Proven)
		b.World.Heal()
		b.World.Forget()
		r := b.Sync(run.Full)
		require.True(t, r.Proven)
		require.EqualValues(t, 3, r.Counts.OutOfScope, "the run that proved nothing has not settled what the choice left out")
		require.Zero(t, r.Counts.Candidates)
		require.Zero(t, b.World.Calls("GetRecord"))
	})
}

func TestCancelledRunTellsNothingOfTheChoice(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		choose(b, `["CUSTOMER"]`, records(1, 3)...)
		id := b.Start(run.Full)
		b.World.FailLater("StreamRecords", 1, 100, unavailable)
		b.Work()
		b.Tx(func(tx *sqldb.Tx) error {
			_, err := store.CancelRun(tx, peertest.Firm, id, "somebody", b.Clock.Now())
			return err
		})
		b.World.Heal()
		require.EqualValues(t, 3, b.Sync(run.Full).Counts.OutOfScope)
	})
}

// A connection made anew to the tenant of a removed one takes its links over, and with them what was chosen.
func TestAdoptedLinksKnowWhatWasChosen(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		byHand(b, "r0002")
		b.Connect(func(c *run.Connection) { c.State = run.ConnectionDisconnected })
		other := run.Connection{
			ID: "0195f000-0000-7000-8000-0000000000c2", Firm: peertest.Firm, Provider: "XPM", Tenant: "tenant-1",
			State: run.ConnectionActive, Selection: `["CUSTOMER"]`,
		}
		for _, id := range records(1, 3) {
			b.World.Change(id, func(c *peertest.Client) { c.Hidden = true })
		}
		full := func() run.Run {
			var id string
			b.Tx(func(tx *sqldb.Tx) (err error) {
				if err := store.PutConnection(tx, other, sqldb.Micros(b.Clock.Now())); err != nil {
					return err
				}
				if _, err := store.AdoptLinks(tx, other); err != nil {
					return err
				}
				id, _, err = store.StartRun(tx, other, run.Full, "test", "", b.Clock.Now())
				return err
			})
			b.Work()
			return b.Run(id)
		}
		first := full()
		require.Equal(t, run.Succeeded, first.State, first.Message)
		second := full()
		require.Zero(t, second.Counts.Candidates, "the new choice left them out")
		require.Zero(t, b.Count(`links WHERE presence = $1`, string(plan.Gone)))
	})
}

func TestFirstFullIsTheFirstThatProves(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(20)
		b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.Drifted = true })
		require.False(t, b.Sync(run.Full).Proven)
		b.World.Heal()
		b.World.Archive("r0001")
		r := b.Sync(run.Full)
		require.Contains(t, r.Message, "removes nothing")
		require.Equal(t, client.Listed, b.Client("r0001").State)
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.Started)
	})
}

func TestListedAsArchivedWhileTheChoiceChanges(t *testing.T) {
	for name, archive := range map[string]func(b *peertest.Bench, id string){
		"in a run that is proven":       func(b *peertest.Bench, id string) { flag(b, id) },
		"put out of scope, then listed": func(b *peertest.Bench, id string) { b.World.Archive(id); b.Sync(run.Full); flag(b, id) },
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(30)
				b.Sync(run.Full)
				choose(b, `["CUSTOMER"]`, "r0003")
				archive(b, "r0002")
				r := b.Sync(run.Full)
				require.EqualValues(t, 1, r.Counts.Started, "what is listed as archived is listed: %s", r.Message)
				require.Equal(t, client.Leaving, b.Client("r0002").State)
				require.Equal(t, client.Listed, b.Client("r0003").State)
			})
		})
	}
}

// flag archives a record that listings hold all the same, as archived.
func flag(b *peertest.Bench, id string) {
	b.World.Archive(id)
	b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) {
		p.AnnouncedTotal = -1 // of whoever counts, only those in use
		if p.GetPage() != 1 || p.GetRecords()[0].GetClient() == nil {
			return
		}
		p.Records = append(p.Records, &connectorv1.Record{
			RecordId: id, State: connectorv1.RecordState_RECORD_STATE_ARCHIVED, Kind: &connectorv1.Record_Client{Client: &connectorv1.ClientFields{Name: id}},
		})
	})
}

// Who is deleted while other records are chosen can't be told from who is left out, except by reading the record: that is
// done later, for a few at a time, and never twice in a week.
func TestOutOfScopeIsAskedAboutOneDay(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(40)
		b.Sync(run.Full)
		choose(b, `["CUSTOMER"]`, records(1, 10)...)
		b.World.Delete("r0010")
		require.EqualValues(t, 10, b.Sync(run.Full).Counts.OutOfScope)
		b.Clock.Turn(plan.AskAgainAfter - time.Hour)
		require.Zero(t, b.Sync(run.Full).Counts.Candidates)
		b.Clock.Turn(2 * time.Hour)
		b.World.Forget()
		for range 3 { // no more of them than may leave without a decision
			r := b.Sync(run.Full)
			require.Equal(t, run.Succeeded, r.State, r.Message)
			for _, c := range b.Changes(r, plan.Archive) {
				require.Contains(t, c.Evidence[1], "out of scope, or in use when it was read, on 2026-05-01")
			}
		}
		require.Equal(t, 10, b.World.Calls("GetRecord"))
		require.Equal(t, client.Leaving, b.Client("r0010").State, "the record itself is proof")
		require.EqualValues(t, 39, b.Count(`clients WHERE state = 'LISTED'`))
		require.EqualValues(t, 9, b.Count(`links WHERE out_of_scope`))
		b.Clock.Turn(plan.AskAgainAfter - time.Hour)
		b.Sync(run.Full)
		require.Equal(t, 10, b.World.Calls("GetRecord"), "not again within a week")
	})
}

package runner_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// outside says of records that they are in use and of none of the chosen contact types, or that they are again.
func outside(b *peertest.Bench, yes bool, all ...string) {
	for _, id := range all {
		b.World.Change(id, func(c *peertest.Client) { c.OutOfScope = yes })
	}
}

// Providers that list everybody say who is of none of the chosen types: that is no removal, and no call is spent on it.
func TestRecordsOutOfScopeStayAndComeBackWithNothingLost(t *testing.T) {
	for _, kind := range []run.Kind{run.Full, run.Manual} {
		t.Run(string(kind), func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(30)
				b.Sync(run.Full)
				was, contact := b.Client("r0002"), b.ContactOf("p0002")
				outside(b, true, records(1, 12)...)
				b.World.Change("r0002", func(c *peertest.Client) { c.Fields.Name = "Renamed outside" })
				b.World.DeleteContact("p0002") // of who is not to be synced, nothing is taken to be gone
				b.World.PutClient("r9001", &connectorv1.ClientFields{Name: "New and outside"})
				outside(b, true, "r9001")
				b.World.Forget()
				r := b.Sync(kind)
				require.Equal(t, run.Succeeded, r.State, r.Message)
				require.EqualValues(t, 12, r.Counts.OutOfScope, "more than the guard would let go")
				require.Zero(t, r.Counts.Candidates)
				require.Zero(t, b.World.Calls("GetRecord"))
				require.Zero(t, r.Counts.ClientsCreated, "who is new and not to be synced is nobody")
				require.EqualValues(t, 30, b.Count(`clients WHERE state = 'LISTED'`))
				require.Equal(t, was.Version, b.Client("r0002").Version)
				require.EqualValues(t, 12, b.Count(`links WHERE out_of_scope AND presence = 'PRESENT'`))
				require.Len(t, b.ContactOf("p0002").Relations, 1)
				for range 2 {
					b.Clock.Turn(plan.AskAgainAfter * 2)
					r = b.Sync(run.Full)
					require.Zero(t, r.Counts.OutOfScope, "said once")
					require.Zero(t, r.Counts.Candidates, "it is listed in use: nobody has to be asked")
				}
				require.Zero(t, b.World.Calls("GetRecord"))

				outside(b, false, records(1, 12)...)
				outside(b, false, "r9001")
				r = b.Sync(kind)
				require.EqualValues(t, 1, r.Counts.ClientsCreated)
				require.Zero(t, b.Count(`links WHERE out_of_scope`))
				now := b.Client("r0002")
				require.Equal(t, was.ID, now.ID)
				require.Equal(t, "Renamed outside", now.Fields.Name)
				require.Equal(t, contact.ID, b.ContactOf("p0002").ID)
				b.Invariants()
			})
		})
	}
}

// Somebody who waits for a decision, and is not to be synced any more, waits no longer.
func TestSuggestionsOutOfScopeAreDropped(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(3)
		b.Connect(func(c *run.Connection) { c.ReviewNew = true })
		require.EqualValues(t, 3, b.Sync(run.Full).Counts.Suggestions)
		outside(b, true, "r0001")
		require.EqualValues(t, 2, b.Sync(run.Full).Counts.Suggestions)
		require.EqualValues(t, 1, b.Count(`changes WHERE state = 'STALE' AND kind = 'NEW'`))
	})
}

// A removal that waits for a person is refuted by a listing that has the record in use, also out of scope.
func TestRemovalsOfWhoIsOnlyOutOfScopeAreStale(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		r := b.Sync(run.Full)
		require.Equal(t, run.Withheld, r.State)
		b.World.Unarchive(records(1, 10)...)
		outside(b, true, records(1, 10)...)
		b.Sync(run.Manual)
		require.EqualValues(t, 10, b.Count(`changes WHERE kind = 'ARCHIVE' AND state = 'STALE'`))
		require.EqualValues(t, 30, b.Count(`clients WHERE state = 'LISTED'`))
	})
}

// Who left because the record was archived comes back when it is in use and in scope again, and not before.
func TestUnarchivedOutOfScopeComesBackWithTheScope(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive("r0001")
		b.Sync(run.Full)
		b.Offboard()
		require.Equal(t, client.Offboarded, b.Client("r0001").State)
		b.World.Unarchive("r0001")
		outside(b, true, "r0001")
		require.Zero(t, b.Sync(run.Full).Counts.ClientsRestored)
		outside(b, false, "r0001")
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.ClientsRestored)
	})
}

// Who is about to leave because the record was archived, and is in use again, stays, also when it is not to be synced.
func TestUnarchivedOutOfScopeWhileLeavingStays(t *testing.T) {
	for _, kind := range []run.Kind{run.Full, run.Manual} {
		t.Run(string(kind), func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(30)
				b.Sync(run.Full)
				was := b.Client("r0001")
				folder := store.Name(peertest.Firm, "clients", was.ID)
				block := func(all ...*documentsv1.Blocker) {
					b.World.Folder(folder, func(f *peertest.Folder) { f.Blockers = all })
				}
				block(&documentsv1.Blocker{Kind: "SIGNATURE_OPEN", Description: "a signature is open"})
				b.World.Archive("r0001")
				b.Sync(run.Full)
				b.Offboard()
				require.EqualValues(t, 1, b.Count(`offboardings WHERE state = 'BLOCKED'`))
				b.World.Unarchive("r0001")
				b.World.Change("r0001", func(c *peertest.Client) { c.Fields.Name = "Renamed outside" })
				outside(b, true, "r0001")
				r := b.Sync(kind)
				require.EqualValues(t, 1, r.Counts.OutOfScope)
				block()
				b.Clock.Turn(time.Hour)
				require.NoError(t, b.Saga.Step(t.Context(), func() {}))
				b.Offboard()
				require.Equal(t, client.Listed, b.Client("r0001").State)
				require.Equal(t, was.Fields.Name, b.Client("r0001").Fields.Name)
				require.EqualValues(t, 1, b.Count(`offboardings WHERE state = 'CANCELLED'`))
				require.EqualValues(t, 1, b.Count(`links WHERE out_of_scope AND presence = 'PRESENT'`))
				b.Invariants()
			})
		})
	}
}

package audit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/sqldb"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
)

func TestViewsAreRecordedInBatchesAndTheLastOneAtShutdown(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		require.NoError(t, d.call(staff, "GetThing", ofName), "before it runs, a view is written by itself")
		entries, _ := d.entries()
		require.Len(t, entries, 1)
		go func() { done <- d.recorder.Run(ctx) }()
		for range 250 {
			require.NoError(t, d.call(staff, "GetThing", ofName))
		}
		require.Eventually(t, func() bool { entries, _ = d.entries(); return len(entries) >= 251 }, time.Minute, 10*time.Millisecond)
		require.NoError(t, d.call(staff, "GetThing", ofName))
		stop()
		require.NoError(t, <-done)
		entries, _ = d.entries()
		require.Len(t, entries, 252)
		require.NoError(t, d.call(staff, "GetThing", ofName), "a call that outlives the recorder is not lost")
		entries, _ = d.entries()
		require.Len(t, entries, 253)
		seen := map[string]bool{}
		for _, e := range entries {
			require.Equal(t, getThing, e.GetAction())
			require.Equal(t, audit.View, e.GetKind())
			require.False(t, seen[e.GetEntryId()])
			seen[e.GetEntryId()] = true
		}
		var rows int
		require.NoError(t, d.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM events_outbox`).Scan(&rows)
		}))
		require.Less(t, rows, 50, "not one event per view")
	})
}

func TestViewsWaitWhileTheDatabaseDoesNotAnswer(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- d.recorder.Run(ctx) }()
		d.faults.FailExec("INSERT INTO events_outbox", 1)
		require.NoError(t, d.call(staff, "GetThing", ofName))
		d.recorder.Flush(t.Context())
		require.Eventually(t, func() bool { entries, _ := d.entries(); return len(entries) == 1 }, time.Minute, 10*time.Millisecond)
		stop()
		require.NoError(t, <-done)
	})
}

func TestABatchKeepsFirmsApart(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- d.recorder.Run(ctx) }()
		for range 3 {
			for _, firm := range []string{accesstest.FirmA, accesstest.FirmB} {
				require.NoError(t, d.call(accesstest.Of(access.Staff, firm), "GetThing", map[string]string{"name": "firms/" + firm}))
			}
		}
		stop()
		require.NoError(t, <-done)
		require.NoError(t, d.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			type row struct {
				firm    string
				payload []byte
			}
			rows, err := sqldb.Collect(tx, func(r *sqldb.Rows) (v row, err error) { return v, r.Scan(&v.firm, &v.payload) },
				`SELECT firm, payload FROM events_outbox`)
			for _, r := range rows {
				recorded := &auditeventsv1.AuditRecorded{}
				require.NoError(t, proto.Unmarshal(r.payload, recorded))
				for _, e := range recorded.GetEntries() {
					require.Equal(t, r.firm, e.GetFirm())
				}
			}
			return err
		}))
	})
}

func TestRefusedCallsAreRecordedAndBounded(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		stranger := accesstest.Of(access.Staff, accesstest.FirmB)
		for range 15 {
			require.Error(t, d.call(stranger, "GetThing", ofName))
		}
		require.Error(t, d.call(accesstest.Of(access.Contact, accesstest.FirmA), "ChangeThing", change))
		entries, _ := d.entries()
		require.Len(t, entries, 11, "ten of one caller, one of the other")
		e := entries[0]
		require.False(t, e.GetSuccess())
		require.Equal(t, "NOT_FOUND", e.GetReason())
		require.Equal(t, accesstest.FirmB, e.GetFirm(), "in the ledger of the caller's firm, not of the one asked for")
		require.Equal(t, thing, e.GetResource())
		require.Equal(t, stranger.ID, e.GetActor())
		require.Equal(t, "PERMISSION_DENIED", entries[10].GetReason())
		require.Equal(t, audit.Change, entries[10].GetKind())
	})
}

package audit_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve"
	"github.com/concord-suite/concord/platform/serve/servetest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
)

const (
	getThing    = "/" + servetest.Service + "/GetThing"
	changeThing = "/" + servetest.Service + "/ChangeThing"
)

var (
	thing  = "firms/" + accesstest.FirmA + "/things/1"
	staff  = accesstest.Of(access.Staff, accesstest.FirmA)
	admin  = accesstest.SteppedUp(accesstest.Of(access.Administrator, accesstest.FirmA), time.Now().Add(time.Hour))
	ofName = map[string]string{"name": thing}
	change = map[string]string{"thing.name": thing}
)

// desk is a server with a real database and a real recorder.
type desk struct {
	*servetest.Things
	t        *testing.T
	db       *sqldb.DB
	faults   *sqldbtest.Faults
	recorder *audit.Recorder
	mint     *accesstest.Mint
	conn     *grpc.ClientConn
}

func each(t *testing.T, fn func(t *testing.T, d *desk)) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		faults := sqldbtest.NewFaults()
		db := sqldbtest.Open(t, url, events.Schema, faults.Option())
		require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`CREATE TABLE things (n INTEGER NOT NULL)`)
			return err
		}))
		things, err := servetest.New()
		require.NoError(t, err)
		quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
		d := &desk{
			Things: things, t: t, db: db, faults: faults, mint: accesstest.NewMint(t, nil),
			recorder: audit.New(db, audit.Options{Service: "things", Logger: quiet}),
		}
		d.serve(quiet)
		fn(t, d)
	})
}

func (d *desk) serve(log *slog.Logger) {
	lis := dial.Listen()
	s, err := serve.New(serve.Config{Listener: lis, Grace: time.Second}, serve.Deps{
		Name: "things", Verifier: d.mint.Verifier("things"), Audit: d.recorder, Logger: log, Files: d.Files,
	})
	require.NoError(d.t, err)
	d.Register(s)
	require.NoError(d.t, s.Start(context.Background()))
	d.t.Cleanup(s.Stop)
	d.conn, err = dial.New("things", dial.Options{Audience: "things", Listener: lis})
	require.NoError(d.t, err)
	d.t.Cleanup(func() { _ = d.conn.Close() })
}

func (d *desk) call(p access.Principal, method string, fields map[string]string) error {
	_, err := d.Call(dial.WithToken(d.t.Context(), d.mint.Token(p, "things")), d.conn, method, fields)
	return err
}

// handle makes the handler of unary calls.
func (d *desk) handle(fn func(ctx context.Context) error) {
	d.Unary = func(ctx context.Context, _ string, _ *dynamicpb.Message) (*dynamicpb.Message, error) {
		return d.Response(""), fn(ctx)
	}
}

// write is a change.
func (d *desk) write(ctx context.Context) error {
	return d.db.Tx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO things (n) VALUES (1)`)
		return err
	})
}

// entries reads the ledger's future from the outbox, and how many changes there are.
func (d *desk) entries() (entries []*auditeventsv1.AuditEntry, changes int) {
	d.t.Helper()
	require.NoError(d.t, d.db.Read(d.t.Context(), func(tx *sqldb.Tx) error {
		entries = nil
		payloads, err := sqldb.Collect(tx, func(rows *sqldb.Rows) (b []byte, err error) { return b, rows.Scan(&b) },
			`SELECT payload FROM events_outbox ORDER BY id`)
		if err != nil {
			return err
		}
		for _, p := range payloads {
			recorded := &auditeventsv1.AuditRecorded{}
			if err := proto.Unmarshal(p, recorded); err != nil {
				return err
			}
			entries = append(entries, recorded.GetEntries()...)
		}
		return tx.QueryRow(`SELECT count(*) FROM things`).Scan(&changes)
	}))
	return entries, changes
}

func TestAChangeAndItsEntryAreOneTransaction(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.handle(d.write)
		require.NoError(t, d.call(admin, "ChangeThing", change))
		entries, changes := d.entries()
		require.Equal(t, 1, changes)
		require.Len(t, entries, 1)
		e := entries[0]
		require.Equal(t, changeThing, e.GetAction())
		require.Equal(t, "thing.change", e.GetPermission())
		require.Equal(t, thing, e.GetResource())
		require.Equal(t, accesstest.FirmA, e.GetFirm())
		require.Equal(t, "things", e.GetService())
		require.Equal(t, access.Administrator, e.GetActorKind())
		require.Equal(t, admin.ID, e.GetActor())
		require.Equal(t, admin.Session, e.GetSession())
		require.Equal(t, admin.Address, e.GetAddress())
		require.Equal(t, audit.Change, e.GetKind())
		require.True(t, e.GetSuccess())
		require.Empty(t, e.GetReason())
		require.NotEmpty(t, e.GetEntryId())
		require.WithinDuration(t, time.Now(), e.GetOccurredAt().AsTime(), time.Minute)
	})
}

func TestAChangeThatDoesNotCommitIsRecordedAsAFailure(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.handle(d.write)
		d.faults.FailCommit(1)
		require.Error(t, d.call(admin, "ChangeThing", change))
		entries, changes := d.entries()
		require.Zero(t, changes)
		require.Len(t, entries, 1, "the entry of success went with the change")
		require.False(t, entries[0].GetSuccess())
		require.Equal(t, "UNAVAILABLE", entries[0].GetReason())
	})
}

func TestAChangeWhoseAnswerWasLostHasItsEntry(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.handle(d.write)
		d.faults.CommitThenFail(1)
		require.Error(t, d.call(admin, "ChangeThing", change))
		entries, changes := d.entries()
		require.Equal(t, 1, changes)
		require.Len(t, entries, 2)
		require.True(t, entries[0].GetSuccess(), "committed with the change, whatever the caller heard")
		require.False(t, entries[1].GetSuccess(), "and the caller heard of a failure")
	})
}

func TestATransactionThatIsTriedAgainIsOneEntry(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.handle(d.write)
		d.faults.RefuseCommit(2)
		require.NoError(t, d.call(admin, "ChangeThing", change))
		entries, changes := d.entries()
		require.Equal(t, 1, changes)
		require.Len(t, entries, 1)
	})
}

func TestAFailedChangeIsRecordedWithItsReason(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.handle(func(context.Context) error {
			return rpcerr.New(codes.FailedPrecondition, rpcerr.Text("THING_LOCKED"), "locked by Ms Example")
		})
		require.Error(t, d.call(admin, "ChangeThing", change))
		require.Error(t, d.call(admin, "ChangeThing", map[string]string{"thing.name": thing, "text": "longer than allowed"}))
		entries, _ := d.entries()
		require.Len(t, entries, 2)
		require.Equal(t, "THING_LOCKED", entries[0].GetReason())
		require.Equal(t, "INVALID_REQUEST", entries[1].GetReason(), "an attempt that validation stopped is one, too")
		for _, e := range entries {
			require.False(t, e.GetSuccess())
			require.NotContains(t, e.String(), "Example")
			require.NotContains(t, e.String(), "longer than allowed")
		}
	})
}

func TestAChangeThatWroteNothingIsRecordedAllTheSame(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.handle(func(context.Context) error { return nil })
		require.NoError(t, d.call(admin, "ChangeThing", change))
		entries, _ := d.entries()
		require.Len(t, entries, 1)
		require.True(t, entries[0].GetSuccess())
	})
}

func TestACallThatCommittedAndThenFailedHasBothEntries(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.handle(func(ctx context.Context) error {
			if err := d.write(ctx); err != nil {
				return err
			}
			return errors.New("the second step broke")
		})
		require.Error(t, d.call(admin, "ChangeThing", change))
		entries, changes := d.entries()
		require.Equal(t, 1, changes)
		require.Len(t, entries, 2)
		require.True(t, entries[0].GetSuccess())
		require.Equal(t, "INTERNAL", entries[1].GetReason())
		require.NotEqual(t, entries[0].GetEntryId(), entries[1].GetEntryId())
	})
}

func TestSeveralTransactionsOfOneCallAreOneEntry(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.handle(func(ctx context.Context) error { return errors.Join(d.write(ctx), d.write(ctx), d.write(ctx)) })
		require.NoError(t, d.call(admin, "ChangeThing", change))
		entries, changes := d.entries()
		require.Equal(t, 3, changes)
		require.Len(t, entries, 1)
	})
}

func TestAFailureIsRecordedAfterTheCallerHasGone(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx, cancel := context.WithCancel(t.Context())
		d.handle(func(ctx context.Context) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		_, err := d.Call(dial.WithToken(ctx, d.mint.Token(admin, "things")), d.conn, "ChangeThing", change)
		require.Error(t, err)
		require.Eventually(t, func() bool {
			entries, _ := d.entries()
			return len(entries) == 1 && entries[0].GetReason() == "CANCELED"
		}, time.Minute, 5*time.Millisecond)
	})
}

func TestAnEntryNamesWhoStartedIt(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		require.NoError(t, d.call(admin.As("sync"), "ChangeThing", change))
		addIn := accesstest.Of(access.AddIn, accesstest.FirmA)
		require.NoError(t, d.call(addIn, "FileThing", map[string]string{"parent": "firms/" + accesstest.FirmA}))
		entries, _ := d.entries()
		require.Len(t, entries, 2)
		require.Equal(t, "sync", entries[0].GetActor())
		require.Equal(t, access.Administrator, entries[0].GetInitiatorKind())
		require.Equal(t, admin.ID, entries[0].GetInitiator())
		require.Equal(t, admin.Session, entries[0].GetSession())
		require.Equal(t, admin.Address, entries[0].GetAddress())
		require.Equal(t, addIn.ActsFor.Account, entries[1].GetInitiator())
	})
}

func TestAnEntryHoldsNamesAndNoOtherText(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		operator := accesstest.Of(access.Operator, "")
		require.NoError(t, d.call(operator, "CreateFirm", map[string]string{"name": "Miller & Sons, tax file 123456789"}))
		long := "firms/" + accesstest.FirmA + strings.Repeat("/things/1", 100)
		require.NoError(t, d.call(staff, "GetThing", map[string]string{"name": long}))
		entries, _ := d.entries()
		require.Len(t, entries, 2)
		require.Empty(t, entries[0].GetResource())
		require.Empty(t, entries[0].GetFirm())
		require.Empty(t, entries[1].GetResource())
	})
}

func TestActsWithoutACallAreRecordedInTheirTransaction(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		act := audit.Act{Firm: accesstest.FirmA, Action: "saga.offboarding.commit", Resource: thing, Kind: audit.Change}
		require.NoError(t, d.db.Tx(t.Context(), func(tx *sqldb.Tx) error { return d.recorder.Record(tx, act) }))
		started := access.With(t.Context(), admin.As("things"))
		act.Reason = "BLOCKED"
		require.NoError(t, d.db.Tx(started, func(tx *sqldb.Tx) error { return d.recorder.Record(tx, act) }))
		undone := errors.New("undone")
		require.ErrorIs(t, d.db.Tx(started, func(tx *sqldb.Tx) error {
			return errors.Join(d.recorder.Record(tx, act), undone)
		}), undone)
		entries, _ := d.entries()
		require.Len(t, entries, 2)
		require.Equal(t, "things", entries[0].GetActor())
		require.Empty(t, entries[0].GetInitiator())
		require.True(t, entries[0].GetSuccess())
		require.Equal(t, admin.ID, entries[1].GetInitiator())
		require.Equal(t, "BLOCKED", entries[1].GetReason())
		require.False(t, entries[1].GetSuccess())
	})
}

func TestAChangeIsRefusedWhenItCannotBeRecorded(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		d.faults.FailExec("INSERT INTO events_outbox", 1)
		d.handle(d.write)
		require.Error(t, d.call(admin, "ChangeThing", change))
		entries, changes := d.entries()
		require.Zero(t, changes, "no change without its entry")
		require.Len(t, entries, 1)
		require.False(t, entries[0].GetSuccess())
	})
}

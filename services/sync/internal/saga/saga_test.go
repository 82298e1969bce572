package saga_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

var down = status.Error(codes.Unavailable, "down")

// practice makes a practice of ten clients in which r0005 has three contacts: one of its own, one with a login of its
// own, one shared with r0006.
func practice(b *peertest.Bench) {
	b.World.Practice(10)
	b.World.PutContact("p0105", "With a login", "r0005")
	b.Sync(run.Full)
	login(b, "p0105", true)
	b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) { f.Documents = 3 })
}

func clientName(b *peertest.Bench, record string) string {
	return store.Name(peertest.Firm, "clients", b.Client(record).ID)
}

func login(b *peertest.Bench, record string, has bool) {
	id := b.ContactOf(record).ID
	b.World.SetLogin(store.Name(peertest.Firm, "contacts", id), has)
	b.Tx(func(tx *sqldb.Tx) error {
		return store.SetLogin(tx, peertest.Firm, id, has, sqldb.Micros(b.Clock.Now()), b.Clock.Now())
	})
}

// leave archives a record and lets a full run find that out.
func leave(b *peertest.Bench, records ...string) {
	b.World.Archive(records...)
	b.Sync(run.Full)
}

func TestOffboarding(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		before := b.Client("r0005")
		leave(b, "r0005")
		b.Offboard()
		b.Invariants()

		o := b.Offboarding(before.ID)
		require.Equal(t, offboard.Done, o.State)
		require.EqualValues(t, 3, o.DocumentCount)
		require.False(t, o.FolderRemoved)
		require.EqualValues(t, 0, o.ContactsRemoved)
		require.EqualValues(t, 1, o.ContactsReleased)
		require.EqualValues(t, 1, o.ContactsKept)
		require.False(t, o.ArchivedAt.IsZero())
		require.False(t, o.EndedAt.IsZero())
		require.Equal(t, client.Offboarded, b.Client("r0005").State)
		require.Equal(t, client.Active, b.ContactOf("p0005").State)
		require.Equal(t, client.Released, b.ContactOf("p0105").State)
		require.Len(t, b.ContactOf("p0005").Relations, 1)
		docs, auth := b.World.Fenced()
		require.Zero(t, docs+auth, "no fence is left standing")
		require.EqualValues(t, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.client_archived'`))
		var lines []string
		for _, l := range o.Steps {
			lines = append(lines, l.Text)
		}
		require.Equal(t, []string{
			"no new signature requests and email jobs; the folder holds 3 documents",
			"no new logins for 2 contacts, of which 1 have one",
			"history up to entry 2 filed into the client's folder",
			"left the client list; contacts: 0 removed, 1 released, 1 kept",
			"the folder, with 3 documents, is an orphaned business folder now",
		}, lines[1:])
		b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) {
			require.Equal(t, "ORPHANED", f.State)
			rows, err := csv.NewReader(strings.NewReader(f.Files[o.ID].Text)).ReadAll()
			require.NoError(t, err)
			require.Len(t, rows, 3)
			require.Equal(t, []string{"1", history.ClientCreated}, []string{rows[1][0], rows[1][2]})
		})
	})
}

func TestBlockedClientStaysAndIsLookedAtAgain(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		name := clientName(b, "r0005")
		blocker := &documentsv1.Blocker{Kind: "SIGNATURE_OPEN", Description: "email job 42 holds 2 documents for signature"}
		b.World.Folder(name, func(f *peertest.Folder) { f.Blockers = []*documentsv1.Blocker{blocker} })
		leave(b, "r0005")
		b.Offboard()
		b.Invariants()
		c := b.Client("r0005")
		require.Equal(t, client.Listed, c.State)
		require.Equal(t, blocker.GetDescription(), c.Blockers[0].Description)
		o := b.Offboarding(c.ID)
		require.Equal(t, offboard.Blocked, o.State)
		require.EqualValues(t, 1, b.Count(`changes WHERE state = 'BLOCKED' AND client = $1`, c.ID))
		docs, _ := b.World.Fenced()
		require.Zero(t, docs, "a blocked client is not fenced")
		require.Zero(t, b.Sync(run.Full).Counts.Candidates, "it is under way, and no candidate again")

		calls := b.World.Calls("BeginOffboarding")
		b.Offboard()
		require.Equal(t, calls, b.World.Calls("BeginOffboarding"), "nobody asks again without a reason")
		b.Clock.Turn(11 * time.Minute)
		b.Offboard()
		require.Equal(t, calls+1, b.World.Calls("BeginOffboarding"), "but for time")
		require.Len(t, b.Offboarding(c.ID).Steps, len(o.Steps), "and what is as before is not told again")

		b.World.Folder(name, func(f *peertest.Folder) { f.Blockers = nil })
		b.Tx(func(tx *sqldb.Tx) error { return store.WakeBlocked(tx, c.ID, b.Clock.Now()) })
		b.Offboard()
		b.Invariants()
		require.Equal(t, offboard.Done, b.Offboarding(c.ID).State)
		require.Empty(t, b.Client("r0005").Blockers)
		require.EqualValues(t, 1, b.Count(`changes WHERE state = 'APPLIED' AND kind = 'ARCHIVE' AND client = $1`, c.ID))
	})
}

func TestOverrideByHandWithdrawsWhatBlocks(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		name := clientName(b, "r0005")
		b.World.Folder(name, func(f *peertest.Folder) {
			f.Blockers = []*documentsv1.Blocker{{Kind: "SIGNATURE_OPEN", Description: "x"}}
		})
		leave(b, "r0005")
		b.Offboard()
		id := b.Client("r0005").ID
		b.Tx(func(tx *sqldb.Tx) error {
			o, err := store.LockOffboarding(tx, peertest.Firm, b.Offboarding(id).ID)
			if err != nil {
				return err
			}
			return store.PushOffboarding(tx, o, true, "left the practice", "somebody", "", b.Clock.Now())
		})
		b.Offboard()
		require.Equal(t, offboard.Done, b.Offboarding(id).State)
		b.World.Folder(name, func(f *peertest.Folder) { require.Equal(t, "left the practice", f.Withdrawn) })
	})
}

func TestHistoryIsFiledWhenTheTrailIsComplete(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) { f.TrailSeq = 3 })
		leave(b, "r0005")
		trail := func(n int64) {
			b.Tx(func(tx *sqldb.Tx) error {
				_, err := store.AppendTrail(tx, peertest.Firm, history.Entry{
					Client: id, At: b.Clock.Now(), Kind: history.EmailJobSent, Actor: "x", Summary: fmt.Sprintf("job %d", n), TrailSeq: n,
				})
				return err
			})
		}
		trail(3) // out of order
		trail(1)
		step(t, b)
		require.Equal(t, offboard.File, b.Offboarding(id).Step)
		require.Zero(t, b.World.Calls("FileSystemDocument"))
		trail(1) // a second time
		trail(2)
		b.Clock.Turn(time.Second)
		step(t, b)
		o := b.Offboarding(id)
		require.Equal(t, offboard.Done, o.State)
		require.EqualValues(t, 5, o.FiledSeq)
		b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) {
			require.Equal(t, 6, strings.Count(f.Files[o.ID].Text, "\r\n"))
		})
		b.Invariants()
	})
}

// step lets the worker take whatever is due, once.
func step(t *testing.T, b *peertest.Bench) {
	t.Helper()
	require.NoError(t, b.Saga.Step(context.Background(), func() {}))
}

func TestHistoryThatMovesIsFiledAgain(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		leave(b, "r0005")
		b.World.Fail("FileSystemDocument", 1, down)
		step(t, b) // up to the filing
		append := func(kind, actor string) {
			b.Tx(func(tx *sqldb.Tx) error {
				return store.AppendHistory(tx, peertest.Firm, history.Entry{Client: id, At: b.Clock.Now(), Kind: kind, Actor: actor, Summary: "late"})
			})
		}
		// Filed; then something happens before the client leaves.
		filed := false
		b.World.After("FileSystemDocument", func() {
			if !filed {
				filed = true
				append(history.DocumentFiled, "firms/x/staff/y")
			} else {
				append(history.DocumentFiled, history.SystemActor) // the filing itself, told: not a reason to file again
			}
		})
		b.Clock.Turn(time.Minute)
		step(t, b)
		require.Equal(t, offboard.Done, b.Offboarding(id).State)
		require.Equal(t, 3, b.World.Calls("FileSystemDocument"), "failed once, moved once, and then for good")
		b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) {
			require.Len(t, f.Files, 1, "the same document each time")
			require.Contains(t, f.Files[b.Offboarding(id).ID].Text, "late")
		})
	})
}

func TestNewContactIsFencedToo(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		leave(b, "r0005")
		b.World.Fail("FileSystemDocument", 1, down)
		step(t, b)
		b.Tx(func(tx *sqldb.Tx) error { // p0001 becomes a contact of the client that is leaving
			return store.PutRelations(tx, peertest.Firm, peertest.Connection, "tenant-1", []store.RelationRow{{
				ContactRecord: "p0001", ClientRecord: "r0005", Contact: b.ContactIn(tx, "p0001"), Client: b.ClientIn(tx, "r0005"),
			}})
		})
		b.Clock.Turn(time.Minute)
		step(t, b)
		require.Equal(t, offboard.Done, b.Offboarding(b.Client("r0005").ID).State)
		require.Equal(t, 2, b.World.Calls("FenceContactLogins"))
	})
}

func TestCancelBeforeTheClientLeft(t *testing.T) {
	for _, at := range []string{"BeginOffboarding", "FenceContactLogins", "FileSystemDocument"} {
		t.Run(at, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				practice(b)
				before := b.Client("r0005")
				leave(b, "r0005")
				b.World.Fail(at, 1, down)
				step(t, b)
				require.Contains(t, b.Offboarding(before.ID).LastError, ": not available at the moment; try again")
				turn(b, before.ID)
				b.Offboard()
				b.Invariants()
				o := b.Offboarding(before.ID)
				require.Equal(t, offboard.Cancelled, o.State)
				require.Equal(t, client.Listed, b.Client("r0005").State)
				docs, auth := b.World.Fenced()
				require.Zero(t, docs+auth)
				require.EqualValues(t, 1, b.Count(`changes WHERE kind = 'ARCHIVE' AND state = 'REJECTED'`))
				require.Zero(t, b.Sync(run.Full).Counts.Candidates, "it was kept by a person")
			})
		})
	}
}

// turn asks the last off-boarding of a client to turn back.
func turn(b *peertest.Bench, id string) {
	b.Tx(func(tx *sqldb.Tx) error {
		o, err := store.LockOffboarding(tx, peertest.Firm, b.Offboarding(id).ID)
		if err != nil {
			return err
		}
		_, err = store.AskBack(tx, o, "by the test", "", b.Clock.Now())
		return err
	})
}

func TestTheInverse(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		before := b.Client("r0005")
		leave(b, "r0005", "r0006") // the shared contact loses both of its clients
		b.Offboard()
		require.Equal(t, client.Removed, b.ContactOf("p0005").State)
		released := b.ContactOf("p0105")
		b.Tx(func(tx *sqldb.Tx) error { // edited while it was released
			p := released.Person
			p.Phone = "0400 000 000"
			return store.UpdatePerson(tx, released.ID, p, released.Version, b.Clock.Now())
		})
		turn(b, before.ID)
		b.Offboard()
		b.Invariants()
		after := b.Client("r0005")
		require.Equal(t, before.ID, after.ID)
		require.Equal(t, client.Listed, after.State)
		require.Equal(t, offboard.Reversed, b.Offboarding(before.ID).State)
		require.Equal(t, client.Active, b.ContactOf("p0005").State)
		require.Len(t, b.ContactOf("p0005").Relations, 1, "its other client has not come back")
		require.Equal(t, client.Active, b.ContactOf("p0105").State)
		require.Equal(t, "0400 000 000", b.ContactOf("p0105").Person.Phone, "newer values are kept")
		require.EqualValues(t, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.client_restored'`))
		require.Zero(t, b.Sync(run.Full).Counts.Candidates, "brought back by hand, it stays although it is gone upstream")
		b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) { require.Equal(t, "CLIENT", f.State) })

		// It is there again upstream, and leaves once more: a second off-boarding, like the first.
		b.World.Unarchive("r0005")
		b.Sync(run.Full)
		leave(b, "r0005")
		b.Offboard()
		b.Invariants()
		require.EqualValues(t, 2, b.Count(`offboardings WHERE client = $1`, before.ID))
		require.Equal(t, client.Offboarded, b.Client("r0005").State)
	})
}

func TestInverseNamesWhatIsMissing(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		leave(b, "r0005")
		b.Offboard()
		b.Tx(func(tx *sqldb.Tx) error {
			k := b.ContactIn(tx, "p0105")
			return store.SetContactState(tx, peertest.Firm, []string{k}, client.Deleted, b.Clock.Now())
		})
		b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) { f.State = "DESTROYED" })
		turn(b, id)
		b.Offboard()
		b.Invariants()
		require.Equal(t, []string{"the folder was destroyed by a person", "the contact With a login was deleted by a person"},
			b.Offboarding(id).Missing)
		require.Equal(t, client.Deleted, b.ContactOf("p0105").State)
	})
}

func TestInverseOfOneOnItsWayOut(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		leave(b, "r0005")
		b.World.Fail("CommitOffboarding", 1, down)
		step(t, b)
		require.Equal(t, offboard.Securing, b.Offboarding(id).State)
		turn(b, id)
		b.Offboard()
		b.Invariants()
		require.Equal(t, offboard.Reversed, b.Offboarding(id).State)
		require.Equal(t, client.Listed, b.Client("r0005").State)
	})
}

func TestHandOffboardedClientIsNotRestoredByEachSync(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		c := b.Client("r0005")
		b.Tx(func(tx *sqldb.Tx) error {
			o := offboard.Offboarding{ID: store.NewID(), Firm: peertest.Firm, Client: c.ID, ClientName: "x", Origin: offboard.ByHand, Reason: "left"}
			if err := store.StartOffboarding(tx, o, "by hand", b.Clock.Now()); err != nil {
				return err
			}
			return store.SetClientState(tx, c.ID, client.Leaving, o.ID, nil, b.Clock.Now())
		})
		b.Offboard()
		for range 2 {
			require.Zero(t, b.Sync(run.Full).Counts.ClientsRestored)
			b.Offboard()
			require.Equal(t, client.Offboarded, b.Client("r0005").State)
		}
		b.World.Archive("r0005")
		b.Sync(run.Full)
		b.World.Unarchive("r0005")
		r := b.Sync(run.Full)
		require.EqualValues(t, 1, r.Counts.ClientsRestored, "but archived and un-archived since, it comes back")
		require.Len(t, b.Changes(r, plan.Restore), 1)
		b.Offboard()
		b.Invariants()
		require.Equal(t, client.Listed, b.Client("r0005").State)
	})
}

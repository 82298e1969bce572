package saga_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// What unblocks a client, or a person who pushes, may come while documents' word that it is blocked is on its way.
func TestWhatComesWhileDocumentsAnswersIsNotForgotten(t *testing.T) {
	for name, wake := range map[string]func(b *peertest.Bench, id string) error{
		"the last signature": func(b *peertest.Bench, id string) error {
			b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) { f.Blockers = nil })
			return b.DB.Tx(t.Context(), func(tx *sqldb.Tx) error { return store.WakeBlocked(tx, id, b.Clock.Now()) })
		},
		"a person": func(b *peertest.Bench, id string) error {
			return b.DB.Tx(t.Context(), func(tx *sqldb.Tx) error {
				o, err := store.LockOffboarding(tx, peertest.Firm, b.Offboarding(id).ID)
				if err != nil {
					return err
				}
				return store.PushOffboarding(tx, o, true, "left the practice", "somebody", "", b.Clock.Now())
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				practice(b)
				id := b.Client("r0005").ID
				b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) {
					f.Blockers = []*documentsv1.Blocker{{Kind: "SIGNATURE_OPEN", Description: "x"}}
				})
				leave(b, "r0005")
				woken := false
				b.World.After("BeginOffboarding", func() {
					if !woken {
						woken = true
						require.NoError(t, wake(b, id))
					}
				})
				step(t, b)
				require.Equal(t, offboard.Blocked, b.Offboarding(id).State)
				step(t, b) // due at once, not in ten minutes
				require.Equal(t, offboard.Done, b.Offboarding(id).State)
				b.Invariants()
			})
		})
	}
}

// trailOf lets documents' trail about r0005 end at n, without a word of it on the bus.
func trailOf(b *peertest.Bench, n int64) {
	b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) { f.TrailSeq = n })
}

func filedText(b *peertest.Bench, id string) (text string) {
	b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) { text = f.Files[b.Offboarding(id).ID].Text })
	return text
}

func TestATrailThatDoesNotComeIsSaid(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		trailOf(b, 3)
		leave(b, "r0005")
		step(t, b)
		require.Empty(t, b.Offboarding(id).LastError, "some seconds are nothing to speak of")
		b.Clock.Turn(time.Second)
		step(t, b)
		require.Zero(t, b.World.Calls("ReadClientTrail"))
		b.Clock.Turn(10 * time.Second)
		step(t, b)
		o := b.Offboarding(id)
		require.Equal(t, offboard.Preparing, o.State)
		require.Equal(t, "waiting for 3 events of documents about this client", o.LastError)
		require.Equal(t, 1, b.World.Calls("ReadClientTrail"), "documents was asked")
		b.Clock.Turn(20 * time.Second)
		require.ErrorIs(t, b.Saga.Step(context.Background(), func() {}), lease.ErrIdle, "it looks seldom now")
		for n := int64(1); n <= 3; n++ {
			tell(t.Context(), t, b, id, n)
		}
		step(t, b) // and goes on at once when they come
		o = b.Offboarding(id)
		require.Equal(t, offboard.Done, o.State)
		require.Empty(t, o.LastError)
		b.Invariants()
	})
}

func TestATrailThatDoesNotComeIsFetched(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		trailOf(b, 3)
		b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) {
			for n := int64(1); n <= 3; n++ {
				f.Trail = append(f.Trail, &documentsv1.TrailEvent{
					Subject: "documents.v1.email_job_sent", Sequence: n, OccurTime: timestamppb.New(b.Clock.Now()), Actor: "x",
					Summary: fmt.Sprintf("job %d from the record", n), Resource: "firms/x/emailJobs/y",
				})
			}
		})
		leave(b, "r0005")
		tell(t.Context(), t, b, id, 1) // the bus brought one of them
		step(t, b)
		require.Equal(t, offboard.File, b.Offboarding(id).Step)
		b.World.Fail("ReadClientTrail", 100, down) // more often than a question is repeated
		b.Clock.Turn(11 * time.Second)
		step(t, b)
		require.Contains(t, b.Offboarding(id).LastError, "documents: ")
		b.World.Heal()
		b.Clock.Turn(time.Second)
		step(t, b)
		require.Equal(t, offboard.Done, b.Offboarding(id).State)
		for n, summary := range []string{"filed", "job 2 from the record", "job 3 from the record"} {
			require.Contains(t, filedText(b, id), summary, n)
		}
		tell(t.Context(), t, b, id, 2) // the bus after all
		require.EqualValues(t, 3, b.Count(`history WHERE client = $1 AND trail_seq > 0`, id))
		b.Invariants()
	})
}

// What is waited for may come just before the off-boarding is put down.
func TestWhatComesWhileItIsPutDownIsNotForgotten(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		trailOf(b, 1)
		leave(b, "r0005")
		step(t, b)
		b.Clock.Turn(11 * time.Second)
		b.World.After("ReadClientTrail", func() { tell(t.Context(), t, b, id, 1) })
		step(t, b)
		require.Equal(t, offboard.Preparing, b.Offboarding(id).State)
		step(t, b) // due at once
		require.Equal(t, offboard.Done, b.Offboarding(id).State)
	})
}

// An upload lands after the fence and before the filing; its event is late.
func TestWhatLandedBeforeTheFilingIsInIt(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		leave(b, "r0005")
		b.World.Before("FileSystemDocument", func() { trailOf(b, 1) })
		step(t, b)
		o := b.Offboarding(id)
		require.Equal(t, []any{offboard.Preparing, offboard.File}, []any{o.State, o.Step}, "the client has not left without it")
		tell(t.Context(), t, b, id, 1)
		step(t, b)
		require.Equal(t, offboard.Done, b.Offboarding(id).State)
		require.Contains(t, filedText(b, id), history.DocumentFiled)
		require.Equal(t, 2, b.World.Calls("FileSystemDocument"))
		b.Invariants()
	})
}

// takeOver has another process take the off-boarding of r0005 over while a call of this one is on its way, do its part,
// and work it to its end; the call arrives after that.
func takeOver(b *peertest.Bench, method string, part func()) {
	once := false
	b.World.Before(method, func() {
		if once {
			return
		}
		once = true
		b.Hire(b.DB)
		b.Clock.Turn(peertest.Lease + time.Second)
		part()
		b.Offboard()
	})
}

func TestAStalledWorkerDoesNotFileAnOlderHistory(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		leave(b, "r0005")
		takeOver(b, "FileSystemDocument", func() {
			b.Tx(func(tx *sqldb.Tx) error {
				return store.AppendHistory(tx, peertest.Firm, history.Entry{Client: id, At: b.Clock.Now(), Kind: history.DocumentFiled,
					Actor: "x", Summary: "what the stalled one has not seen"})
			})
		})
		step(t, b)
		require.Equal(t, offboard.Done, b.Offboarding(id).State)
		require.Equal(t, 2, b.World.Calls("FileSystemDocument"))
		require.Contains(t, filedText(b, id), "what the stalled one has not seen")
		b.Invariants()
	})
}

func TestAStalledWorkerComesAfterTheCancellation(t *testing.T) {
	for _, method := range []string{"BeginOffboarding", "FenceContactLogins", "FileSystemDocument"} {
		t.Run(method, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				practice(b)
				id := b.Client("r0005").ID
				leave(b, "r0005")
				takeOver(b, method, func() { turn(b, id) })
				step(t, b)
				o := b.Offboarding(id)
				require.Equal(t, offboard.Cancelled, o.State)
				require.Empty(t, o.LastError)
				docs, auth := b.World.Fenced()
				require.Zero(t, docs+auth, "nothing fences the client again")
				require.Empty(t, filedText(b, id))
				b.Invariants()

				// The next off-boarding of the same client is another one, and nothing stands in its way.
				b.World.Unarchive("r0005")
				b.Sync(run.Full)
				leave(b, "r0005")
				b.Offboard()
				require.Equal(t, offboard.Done, b.Offboarding(id).State)
				require.NotEqual(t, o.ID, b.Offboarding(id).ID)
			})
		})
	}
}

func TestWhatWasFiledGoesWithTheCancellation(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		id := b.Client("r0005").ID
		leave(b, "r0005")
		b.World.After("FileSystemDocument", func() { turn(b, id) })
		b.Offboard()
		require.Equal(t, offboard.Cancelled, b.Offboarding(id).State)
		require.Equal(t, 1, b.World.Calls("FileSystemDocument"))
		require.Empty(t, filedText(b, id))
		b.Invariants()
	})
}

package runner_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// loses lets two contacts lose their clients upstream. Sync was told wrongly who of them has a login: auth has changed its
// mind, and its events are still on their way.
func loses(b *peertest.Bench) {
	b.World.Practice(30)
	b.Sync(run.Full)
	login(b, "p0002", true)
	for record, has := range map[string]bool{"p0001": true, "p0002": false} {
		b.World.SetLogin(store.Name(peertest.Firm, "contacts", b.ContactOf(record).ID), has)
	}
	b.World.DeleteContact("p0001")
	b.World.DeleteContact("p0002")
}

func settledByAuth(b *peertest.Bench) {
	b.T.Helper()
	require.Equal(b.T, client.Released, b.ContactOf("p0001").State, "it is just getting a login")
	require.Equal(b.T, client.Removed, b.ContactOf("p0002").State)
	require.EqualValues(b.T, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.contact_removed'`))
	require.EqualValues(b.T, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.contact_released'`))
	require.Zero(b.T, b.Count("login_checks"))
	require.Zero(b.T, b.Count("login_check_contacts"))
	_, fences := b.World.Fenced()
	require.Zero(b.T, fences)
	b.Invariants()
}

func TestAuthSaysWhoHasALogin(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		loses(b)
		require.Equal(t, run.Succeeded, b.Sync(run.Full).State)
		settledByAuth(b)
	})
}

func TestContactsWaitForAuthAndSyncsDoNot(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		loses(b)
		b.World.Fail("FenceContactLogins", 1000, unavailable)
		require.Equal(t, run.Succeeded, b.Sync(run.Full).State)
		for _, record := range []string{"p0001", "p0002"} {
			require.Equal(t, client.Active, b.ContactOf(record).State)
			require.Empty(t, b.ContactOf(record).Relations, "it sees nothing any more all the same")
		}
		b.Invariants()
		b.World.Heal()
		b.World.Drop("FenceContactLogins", 1, unavailable)
		b.World.Fail("LiftContactLoginFence", 3, unavailable)
		for range 5 {
			b.Clock.Turn(time.Hour)
			b.Work()
		}
		settledByAuth(b)
	})
}

func TestContactThatIsBackBeforeAuthAnswers(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		loses(b)
		b.World.Fail("FenceContactLogins", 1000, unavailable)
		b.Sync(run.Full)
		b.World.PutContact("p0002", "Back again", "r0001")
		b.Sync(run.Full)
		b.World.Heal()
		b.Clock.Turn(time.Hour)
		b.Work()
		require.Equal(t, client.Active, b.ContactOf("p0002").State)
		require.Equal(t, client.Released, b.ContactOf("p0001").State)
		b.Invariants()
	})
}

func TestCheckOfADeadWorkerIsTakenOver(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			n := 1
			for ; checkKilledAt(t, engine, n); n++ {
			}
			require.Greater(t, n, 3, "so many commits at least are there to die at")
		})
	}
}

// checkKilledAt lets the worker of a check die at its n-th commit, and another one go on. It reports false when there is
// no such commit.
func checkKilledAt(t *testing.T, engine sqldb.Dialect, n int) bool {
	url := sqldbtest.URL(t, engine)
	b := peertest.NewBench(t, sqldbtest.Open(t, url, peertest.Schema))
	loses(b)
	b.World.Fail("FenceContactLogins", 1000, unavailable)
	b.Sync(run.Full)
	b.World.Heal()
	b.Clock.Turn(time.Hour)
	killer := &peertest.Killer{}
	b.Hire(sqldbtest.Open(t, url, nil, killer.Option()))
	killer.Arm(n, n%2 == 0)
	_ = b.Runner.Checks(t.Context(), func() {})
	dead := killer.Dead()
	b.Invariants()
	b.Clock.Turn(time.Hour)
	b.Hire(b.DB)
	b.Work()
	settledByAuth(b)
	return dead
}

func TestOnlyWhatIsRejectedNowIsKept(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Archive(records(1, 10)...)
		p := planOf(b, b.Sync(run.Full))
		reject := func(record string) {
			b.Tx(func(tx *sqldb.Tx) error {
				all, err := store.Changes(tx, p.ID, string(plan.Archive), string(plan.ChangeWaiting), "", 100)
				if err != nil {
					return err
				}
				for _, c := range all {
					if c.RecordID != record {
						continue
					}
					decided, err := store.Decide(tx, p.ID, plan.ChangeRejected, false, []string{c.ID}, "somebody", b.Clock.Now())
					if err != nil {
						return err
					}
					return store.KeepRejected(tx, decided)
				}
				return nil
			})
		}
		reject("r0003")
		require.EqualValues(t, 1, b.Count(`links WHERE presence = 'KEPT'`))
		b.World.Unarchive("r0003")
		b.Sync(run.Manual)
		require.Zero(t, b.Count(`links WHERE presence = 'KEPT'`), "it was there again")
		reject("r0004")
		require.EqualValues(t, 1, b.Count(`links WHERE presence = 'KEPT' AND record_id = 'r0004'`))
		require.EqualValues(t, 1, b.Count(`links WHERE presence = 'KEPT'`), "the former decision is over")
	})
}

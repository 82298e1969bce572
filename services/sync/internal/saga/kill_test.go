package saga_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/lease"
)

// scenario is a piece of a client's life that is cut off at every commit.
type scenario struct {
	name    string
	calls   []string // the calls to others that it makes
	prepare func(b *peertest.Bench)
	check   func(t *testing.T, b *peertest.Bench)
}

var scenarios = []scenario{
	{
		"away", []string{"BeginOffboarding", "FenceContactLogins", "FileSystemDocument", "CommitOffboarding", "LiftContactLoginFence"},
		func(b *peertest.Bench) { leave(b, "r0005") },
		func(t *testing.T, b *peertest.Bench) {
			require.Equal(t, client.Offboarded, b.Client("r0005").State)
			require.Equal(t, offboard.Done, b.Offboarding(b.Client("r0005").ID).State)
			require.EqualValues(t, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.client_archived'`))
			require.EqualValues(t, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.contact_released'`))
			b.World.Folder(clientName(b, "r0005"), func(f *peertest.Folder) {
				require.Equal(t, "ORPHANED", f.State)
				require.Len(t, f.Files, 1)
			})
		},
	},
	{
		"back", []string{"ReverseOffboarding"}, func(b *peertest.Bench) {
			leave(b, "r0005")
			b.Offboard()
			turn(b, b.Client("r0005").ID)
		},
		func(t *testing.T, b *peertest.Bench) {
			require.Equal(t, client.Listed, b.Client("r0005").State)
			require.Equal(t, offboard.Reversed, b.Offboarding(b.Client("r0005").ID).State)
			require.EqualValues(t, 1, b.Count(`events_outbox WHERE subject = 'sync.v1.client_restored'`))
			require.Equal(t, client.Active, b.ContactOf("p0105").State)
		},
	},
	{
		"cancelled", []string{"AbortOffboarding", "LiftContactLoginFence"}, func(b *peertest.Bench) {
			leave(b, "r0005")
			b.World.Fail("FileSystemDocument", 1, down)
			_ = b.Saga.Step(context.Background(), func() {})
			turn(b, b.Client("r0005").ID)
		},
		func(t *testing.T, b *peertest.Bench) {
			require.Equal(t, client.Listed, b.Client("r0005").State)
			require.Equal(t, offboard.Cancelled, b.Offboarding(b.Client("r0005").ID).State)
			require.Zero(t, b.Count(`events_outbox WHERE subject = 'sync.v1.client_archived'`))
		},
	},
}

// TestKilledAtEveryCommit cuts the worker off at each of its commits, done or not done, and lets another one go on.
func TestKilledAtEveryCommit(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			sqldbtest.EachURL(t, func(t *testing.T, url string) {
				killed := 0
				for n := 1; ; n++ {
					for _, after := range []bool{false, true} {
						if !killedAt(t, s, freshURL(t, url), n, after) {
							require.Greater(t, killed, 4, "so many commits at least are there to be cut off at")
							return
						}
						killed++
					}
				}
			})
		})
	}
}

// freshURL makes a new database of the same engine.
func freshURL(t *testing.T, url string) string {
	t.Helper()
	engine := sqldb.SQLite
	if url[:len("postgres")] == "postgres" {
		engine = sqldb.Postgres
	}
	return sqldbtest.URL(t, engine)
}

// killedAt plays a scenario with a worker that dies at its n-th commit. It reports false when there is none.
func killedAt(t *testing.T, s scenario, url string, n int, after bool) (dead bool) {
	t.Run(fmt.Sprintf("%d, done %v", n, after), func(t *testing.T) {
		b := peertest.NewBench(t, sqldbtest.Open(t, url, peertest.Schema))
		practice(b)
		s.prepare(b)
		killer := &peertest.Killer{}
		mortal := sqldbtest.Open(t, url, nil, killer.Option())
		killer.Arm(n, after)
		b.Hire(mortal)
		for !killer.Dead() {
			if err := b.Saga.Step(context.Background(), func() {}); errors.Is(err, lease.ErrIdle) {
				break
			}
		}
		dead = killer.Dead()
		b.Hire(b.DB)
		b.Invariants()
		b.Clock.Turn(peertest.Lease + time.Second)
		b.Offboard()
		b.Invariants()
		s.check(t, b)
		docs, auth := b.World.Fenced()
		require.Zero(t, docs+auth, "no fence is left standing")
	})
	return dead
}

// TestAnswersLost loses, for every call of the saga, the call itself or its answer.
func TestAnswersLost(t *testing.T) {
	for _, s := range scenarios {
		for _, method := range s.calls {
			for _, lose := range []string{"call", "answer"} {
				t.Run(s.name+"/"+method+"/"+lose, func(t *testing.T) {
					peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
						practice(b)
						s.prepare(b)
						if lose == "call" {
							b.World.Fail(method, 3, down)
						} else {
							b.World.Drop(method, 3, down)
						}
						b.Offboard()
						b.Invariants()
						s.check(t, b)
						docs, auth := b.World.Fenced()
						require.Zero(t, docs+auth)
					})
				})
			}
		}
	}
}

// TestTwoWorkersNeverHaveOneOffboarding lets a worker that was given up for dead come back.
func TestTwoWorkersNeverHaveOneOffboarding(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		practice(b)
		leave(b, "r0005")
		var frozen offboard.Offboarding
		b.Tx(func(tx *sqldb.Tx) (err error) {
			frozen, err = store.ClaimOffboarding(tx, "frozen", b.Clock.Now(), peertest.Lease)
			return err
		})
		require.ErrorIs(t, b.Saga.Step(context.Background(), func() {}), lease.ErrIdle)
		b.Clock.Turn(peertest.Lease + time.Second)
		b.Offboard()
		err := b.DB.Tx(context.Background(), func(tx *sqldb.Tx) error {
			_, err := store.HoldOffboarding(tx, frozen.ID, frozen.Epoch)
			return err
		})
		require.ErrorIs(t, err, store.ErrLeaseLost)
	})
}

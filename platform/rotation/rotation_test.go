package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

func quiet(rotation.Step) {}

func TestRotateBesideRunningProcesses(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("a", 500)
		first := b.v.SealingKey()
		b.process()
		b.process()
		var out bytes.Buffer
		screen := rotation.NewScreen(&out)
		kept, err := b.ring().Rotate(t.Context(), screen.Show)
		require.NoError(t, err)
		require.NoError(t, kept)
		s := b.status()
		require.Len(t, s.Keys.Seal, 1)
		require.Len(t, s.Keys.MAC, 1)
		require.NotEqual(t, first, s.Keys.Sealing())
		require.Equal(t, rotation.Uses{s.Keys.Sealing(): 500}, s.Parts[0].Columns[0].Uses)
		b.allOpen(500)
		require.Contains(t, out.String(), "adding a key\n")
		require.Contains(t, out.String(), "the new key seals\n")
		require.Contains(t, out.String(), "sealing anew: 0 rows left of ")
		t.Log(out.String())
		require.Contains(t, printed(t, s), "things   tokens.sealed  "+string(s.Keys.Sealing())+"  500")
	})
}

func printed(t *testing.T, s rotation.Status) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, s.Print(&out))
	return out.String()
}

func TestRotateWithoutARunningProcess(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("a", 120)
		for range 3 {
			_, err := b.ring().Rotate(t.Context(), quiet)
			require.NoError(t, err)
			require.Len(t, b.status().Keys.Seal, 1)
		}
		b.allOpen(120)
	})
}

// TestAnInterruptedRotationGoesOn stops a rotation at every step that it tells of, as a kill would, and begins again.
func TestAnInterruptedRotationGoesOn(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("a", 300)
		first := b.v.SealingKey()
		stopped := 0
		for at := 1; ; at++ {
			ctx, cancel := context.WithCancel(t.Context())
			step := 0
			_, err := b.ring().Rotate(ctx, func(rotation.Step) {
				if step++; step == at {
					cancel()
				}
			})
			finished := step < at
			cancel()
			if finished {
				require.NoError(t, err)
				break
			}
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				stopped++
			}
			b.allOpen(300)
		}
		require.Greater(t, stopped, 3)
		s := b.status()
		require.Len(t, s.Keys.Seal, 1)
		require.NotEqual(t, first, s.Keys.Sealing())
		t.Logf("interrupted %d times", stopped)
	})
}

func TestStepsThatWouldLoseSomethingAreRefused(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ring := b.ring()
		refused := func(err error, why string) {
			t.Helper()
			require.ErrorIs(t, err, rotation.ErrRefused)
			require.ErrorContains(t, err, why)
		}
		b.put("a", 1)
		refused(ring.Promote(t.Context()), "no key was added")
		// A replica that has another file: its mount lags behind.
		lagging := b.lagging()
		require.NoError(t, ring.Add())
		refused(ring.Add(), "added already")
		refused(ring.Promote(t.Context()), "has not read the file")
		lagging.catchUp()
		require.NoError(t, ring.Promote(t.Context()))
		_, err := ring.Retire(t.Context(), false)
		refused(err, "still seals with")
		lagging.catchUp()
		lagging.stop() // nobody seals rows anew now
		b.put("b", 1)
		require.NoError(t, b.sealWith(lagging.old, "late"))
		_, err = ring.Retire(t.Context(), false)
		refused(err, "of tokens.sealed under the old key")
		require.Len(t, b.status().Keys.Seal, 2)
		_, err = ring.Rotate(t.Context(), quiet)
		require.NoError(t, err)
		b.allOpen(3)
	})
}

// TestALateWriterIsFenced writes what was sealed before the key was retired: in a transaction that began before, and in
// one that begins after.
func TestALateWriterIsFenced(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("a", 1)
		old, err := b.file.Open()
		require.NoError(t, err)
		late, _, err := old.Seal([]byte("s"), place("late"))
		require.NoError(t, err)
		oldKey := old.SealingKey()
		write := func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`INSERT INTO tokens (id, firm, sealed, sealed_key, version) VALUES ('late', 'firm', $1, $2, 1)`, late, string(oldKey))
			return err
		}
		if b.db.Dialect() == sqldb.Postgres { // on SQLite nobody else writes meanwhile
			writer := sqldbtest.Open(t, b.url, nil)
			for _, options := range [][]sqldb.TxOption{nil, {sqldb.ReadCommitted}} {
				wrote, retiring := make(chan struct{}), make(chan error, 1)
				b.require(b.file.Add())
				b.require(b.file.Promote())
				b.require(b.reseal())
				go func() {
					<-wrote
					_, err := b.ring().Retire(context.Background(), false)
					retiring <- err
				}()
				err := writer.Tx(t.Context(), func(tx *sqldb.Tx) error {
					if err := write(tx); err != nil {
						return err
					}
					close(wrote)
					b.waitForLock()
					return nil
				}, options...)
				require.NoError(t, err)
				require.ErrorIs(t, <-retiring, rotation.ErrRefused, "it waited for the writer and saw the row")
				b.require(b.reseal())
				b.allOpen(2)
				b.require(b.db.Tx(t.Context(), func(tx *sqldb.Tx) error { _, err := tx.Exec(`DELETE FROM tokens WHERE id = 'late'`); return err }))
			}
		}
		_, err = b.ring().Rotate(t.Context(), quiet)
		require.NoError(t, err)
		if b.db.Dialect() == sqldb.SQLite {
			_, err = b.ring().Rotate(t.Context(), quiet)
			require.NoError(t, err)
		}
		for _, options := range [][]sqldb.TxOption{nil, {sqldb.ReadCommitted}} {
			err := b.db.Tx(t.Context(), func(tx *sqldb.Tx) error { return write(tx) }, options...)
			require.Error(t, err)
			err = b.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(`UPDATE tokens SET sealed = $1, sealed_key = $2`, late, string(oldKey))
				return err
			}, options...)
			require.Error(t, err)
		}
		b.allOpen(1)
	})
}

func TestHashesKeepTheirKeyAsLongAsTheyAreOfUse(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.process()
		sum, err := b.v.MAC([]byte("123456"), place("pin"))
		require.NoError(t, err)
		b.require(b.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`INSERT INTO pins (id, sum, expires) VALUES ('pin', $1, `+tx.Dialect().NowMicros()+` + 60000000)`, sum)
			return err
		}))
		kept, err := b.ring().Rotate(t.Context(), quiet)
		require.NoError(t, err)
		require.ErrorContains(t, kept, "1 PINs of things made with the old key are under way")
		v, err := b.file.Open()
		require.NoError(t, err)
		require.NoError(t, v.VerifyMAC(sum, []byte("123456"), place("pin")))
		require.Len(t, v.Keys().Seal, 1, "the key that seals is gone all the same")
		require.Contains(t, printed(t, b.status()), "PINs")

		b.require(b.db.Tx(t.Context(), func(tx *sqldb.Tx) error { _, err := tx.Exec(`UPDATE pins SET expires = 0`); return err }))
		kept, err = b.ring().Retire(t.Context(), false)
		require.NoError(t, err)
		require.NoError(t, kept)
		require.Len(t, b.status().Keys.MAC, 1)
	})
}

// TestHashesThatAreKeptNowhereKeepTheirKeyForTheirLife: nothing tells which were made, so the last moment at which a process
// hashed with the old key counts, also when that process is gone.
func TestHashesThatAreKeptNowhereKeepTheirKeyForTheirLife(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.inventory.Hashes = []rotation.Hash{{What: "links", Life: time.Hour}}
		_, stop := b.process()
		b.until(func() bool { return len(b.status().Parts[0].Replicas) == 1 })
		kept, err := b.ring().Rotate(t.Context(), quiet)
		require.NoError(t, err)
		require.ErrorContains(t, kept, "links of things made with the old key are good for 60 minutes more")
		stop()
		b.process() // knows the new key alone
		b.until(func() bool { return len(b.status().Parts[0].Replicas) == 2 })
		kept, err = b.ring().Retire(t.Context(), false)
		require.NoError(t, err)
		require.Error(t, kept, "what the first process made is still good")
		b.require(b.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE keys_replicas SET since = since - 3700000000 WHERE since > 0`)
			return err
		}))
		kept, err = b.ring().Retire(t.Context(), false)
		require.NoError(t, err)
		require.NoError(t, kept)
		require.Len(t, b.status().Keys.MAC, 1)
	})
}

func TestRowsThatDoNotOpenAreToldAndNotLostByAccident(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("a", 60)
		b.require(b.db.Tx(t.Context(), func(tx *sqldb.Tx) error { // a row that was moved to another firm
			_, err := tx.Exec(`UPDATE tokens SET firm = 'other' WHERE id = 'a-0007'`)
			return err
		}))
		_, err := b.ring().Rotate(t.Context(), quiet)
		require.ErrorIs(t, err, rotation.ErrRefused)
		require.ErrorContains(t, err, "1 row can't be opened")
		require.Len(t, b.status().Keys.Seal, 2)
		_, err = b.ring().Retire(t.Context(), true)
		require.NoError(t, err)
		require.Len(t, b.status().Keys.Seal, 1)
		require.Contains(t, printed(t, b.status()), "1  (not in the keyring)")
	})
}

// TestADatabaseThatFailsWhileSealingAnew loses commits, their answers and statements, as a full disk and a lost connection
// do, while a rotation runs.
func TestADatabaseThatFailsWhileSealingAnew(t *testing.T) {
	sqldbtest.EachURL(t, func(t *testing.T, url string) {
		faults := sqldbtest.NewFaults()
		b := newBench(t, url, faults.Option())
		b.put("a", 200)
		failed := 0
		for _, fault := range []func(){
			func() { faults.FailExec("UPDATE tokens", 1) },
			func() { faults.FailCommit(1) },
			func() { faults.CommitThenFail(1) },
			func() { faults.FailExec("INSERT INTO keys_retired", 1) },
		} {
			armed := false
			_, err := b.ring().Rotate(t.Context(), func(s rotation.Step) {
				if s.Old != nil && !armed {
					armed = true
					fault()
				}
			})
			if err != nil {
				require.False(t, errors.Is(err, rotation.ErrRefused), err)
				failed++
			}
			b.allOpen(200)
		}
		require.Greater(t, failed, 1)
		_, err := b.ring().Rotate(t.Context(), quiet)
		require.NoError(t, err)
		b.allOpen(200)
		t.Logf("%d rotations failed, none lost a row", failed)
	})
}

package sqldb_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// The tests of this file ask where SQLite and PostgreSQL differ when nobody takes care.

func TestTextIsComparedByBytes(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		for _, id := range []string{"a", "B", "_z", "A", "b", "é", "Z1", "Z10", "Z2"} {
			put(t, db, id)
		}
		var got []string
		tx(t, db, func(tx *sqldb.Tx) (err error) {
			got, err = sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) },
				`SELECT id FROM items ORDER BY id`)
			return err
		})
		require.Equal(t, []string{"A", "B", "Z1", "Z10", "Z2", "_z", "a", "b", "é"}, got)
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items WHERE id = 'a'`), "ids differ by case")
	})
}

func TestLikeIsWrittenWithLower(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		put(t, db, "Smith")
		put(t, db, "SMYTHE")
		require.EqualValues(t, 2, one[int64](t, db, `SELECT count(*) FROM items WHERE lower(id) LIKE $1`, "sm%"))
	})
}

func TestNumbersKeepTheirWidth(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		for i, n := range []int64{math.MaxInt64, 0, -999999999, 1 << 53, 1<<53 + 1} {
			id := string(rune('a' + i))
			require.NoError(t, exec(db, `INSERT INTO items (id, firm, n) VALUES ($1, 'acme', $2)`, id, n))
			require.Equal(t, n, one[int64](t, db, `SELECT n FROM items WHERE id = $1`, id))
		}
		require.ErrorIs(t, exec(db, `UPDATE items SET n = $1`, uint64(math.MaxInt64)+1), sqldb.ErrInvalid)
		require.ErrorIs(t, exec(db, `UPDATE items SET n = n + $1 WHERE id = 'a'`, 1), sqldb.ErrInvalid, "overflow")
		require.Equal(t, int64(math.MaxInt64), one[int64](t, db, `SELECT n FROM items WHERE id = 'a'`))
	})
}

func TestColumnsRefuseAnotherType(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		require.ErrorIs(t, exec(db, `INSERT INTO items (id, firm, n) VALUES ('a', 'acme', $1)`, "a secret"), sqldb.ErrInvalid)
	})
}

func TestValuesThatOneEngineCanNotStoreAreRefusedByBoth(t *testing.T) {
	type id string
	each(t, func(t *testing.T, db *sqldb.DB) {
		text := "x\x00y"
		for name, bad := range map[string]any{
			"NUL": text, "NUL in a named type": id(text), "NUL behind a pointer": &text, "not UTF-8": "\xff",
			"time": time.Unix(1, 0), "NaN": math.NaN(),
		} {
			err := exec(db, `INSERT INTO items (id, firm) VALUES ($1, 'acme')`, bad)
			require.ErrorIs(t, err, sqldb.ErrInvalid, name)
			require.NotContains(t, err.Error(), "x\x00y")
		}
		require.NoError(t, exec(db, `INSERT INTO items (id, firm, data) VALUES ($1, 'acme', $2)`, id("ok"), []byte("x\x00\xff")))
		require.Equal(t, []byte("x\x00\xff"), one[[]byte](t, db, `SELECT data FROM items WHERE id = 'ok'`))
	})
}

func TestNothingAndEmptyDiffer(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		var none *string
		require.NoError(t, exec(db, `INSERT INTO items (id, firm, code, data) VALUES ('a', 'acme', $1, $2)`, none, nil))
		require.NoError(t, exec(db, `INSERT INTO items (id, firm, code, data) VALUES ('b', 'acme', $1, $2)`, "", []byte{}))
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items WHERE code IS NULL AND data IS NULL`))
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items WHERE code = '' AND length(data) = 0`))
		require.Nil(t, one[*string](t, db, `SELECT code FROM items WHERE id = 'a'`))
	})
}

func TestBooleans(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		require.NoError(t, exec(db, `INSERT INTO items (id, firm, done) VALUES ('a', 'acme', $1)`, true))
		require.True(t, one[bool](t, db, `SELECT done FROM items WHERE done AND done = $1`, true))
	})
}

func TestTimesKeepTheirMicroseconds(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		at := time.Date(2024, 2, 29, 23, 59, 59, 999_999_999, time.FixedZone("", 13*3600))
		require.NoError(t, exec(db, `INSERT INTO items (id, firm, n) VALUES ('a', 'acme', $1)`, sqldb.Micros(at)))
		got := sqldb.FromMicros(one[int64](t, db, `SELECT n FROM items`))
		require.True(t, at.Truncate(time.Microsecond).Equal(got), got)
		require.Equal(t, time.UTC, got.Location())
	})
}

func TestParametersMayRepeatAndComeInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		require.NoError(t, exec(db, `INSERT INTO items (code, id, firm) VALUES ($2, $1, $2)`, "id", "twice"))
		require.Equal(t, "id", one[string](t, db, `SELECT id FROM items WHERE code = $1 AND firm = $1`, "twice"))
	})
}

func TestUpsertWithConditionAndReturning(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		upsert := func(n int64) (changed int64, err error) {
			return changed, db.Tx(context.Background(), func(tx *sqldb.Tx) error {
				changed, err = tx.Exec(`INSERT INTO items (id, firm, n) VALUES ('a', 'acme', $1)
					ON CONFLICT (id) DO UPDATE SET n = excluded.n WHERE items.n < excluded.n`, n)
				return err
			})
		}
		for _, c := range []struct{ n, changed int64 }{{5, 1}, {4, 0}, {6, 1}} {
			changed, err := upsert(c.n)
			require.NoError(t, err)
			require.Equal(t, c.changed, changed)
		}
		tx(t, db, func(tx *sqldb.Tx) error {
			var n int64
			require.NoError(t, tx.QueryRow(`UPDATE items SET n = n + 1 RETURNING n`).Scan(&n))
			require.EqualValues(t, 7, n)
			return nil
		})
	})
}

func TestAnyOf(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		var ids []string
		for _, r := range "abcdefgh" {
			ids = append(ids, string(r))
			put(t, db, string(r))
		}
		d := db.Dialect()
		count := func(ids []string) int64 {
			return one[int64](t, db, `SELECT count(*) FROM items WHERE firm = $1 AND `+d.AnyOf("id", 2), "acme", sqldb.List(d, ids))
		}
		require.EqualValues(t, 3, count([]string{"b", "d", "h", `"`, "zz"}))
		require.EqualValues(t, 8, count(slices.Repeat(ids, 5000)), "more values than a statement may have parameters")
		require.EqualValues(t, 0, count(nil))
		require.EqualValues(t, 8, one[int64](t, db, `SELECT count(*) FROM items WHERE `+d.AnyOf("n", 1), sqldb.List(d, []int64{0, 7})))
	})
}

// Sixteen goroutines read a number, add one and write it, twenty times each. With the engines' defaults most of it fails
// on SQLite and many updates are lost on PostgreSQL.
func TestReadThenWriteFromManySides(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		put(t, db, "counter")
		var wg sync.WaitGroup
		failures := make(chan error, 320)
		for range 16 {
			wg.Go(func() {
				for range 20 {
					failures <- db.Tx(context.Background(), func(tx *sqldb.Tx) error {
						var n int64
						if err := tx.QueryRow(`SELECT n FROM items WHERE id = 'counter'`).Scan(&n); err != nil {
							return err
						}
						_, err := tx.Exec(`UPDATE items SET n = $1 WHERE id = 'counter'`, n+1)
						return err
					})
				}
			})
		}
		wg.Wait()
		close(failures)
		for err := range failures {
			require.NoError(t, err)
		}
		require.EqualValues(t, 320, one[int64](t, db, `SELECT n FROM items`))
	})
}

// Two transactions each read what the other writes. One after the other that can not end in both rows being done.
func TestWriteSkewIsRefused(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		put(t, db, "a")
		put(t, db, "b")
		var wg, bothRead sync.WaitGroup
		bothRead.Add(2)
		for _, id := range []string{"a", "b"} {
			meet := sync.OnceFunc(func() {
				if db.Dialect() == sqldb.Postgres { // on SQLite they can not both be in a write transaction
					bothRead.Done()
					bothRead.Wait()
				}
			})
			wg.Go(func() {
				_ = db.Tx(context.Background(), func(tx *sqldb.Tx) error {
					var busy int64
					if err := tx.QueryRow(`SELECT count(*) FROM items WHERE done = $1`, true).Scan(&busy); err != nil || busy > 0 {
						return err
					}
					meet()
					_, err := tx.Exec(`UPDATE items SET done = $2 WHERE id = $1`, id, true)
					return err
				})
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, one[int64](t, db, `SELECT count(*) FROM items WHERE done = $1`, true))
	})
}

// A second process on the same SQLite file, a command of the operator for example, makes nobody fail or start again: a
// write transaction waits for its turn before it reads.
func TestSQLiteWaitsForOtherProcesses(t *testing.T) {
	url := sqldbtest.URL(t, sqldb.SQLite)
	one, other := sqldbtest.Open(t, url, schema), sqldbtest.Open(t, url, nil)
	put(t, one, "counter")
	var wg sync.WaitGroup
	var runs atomic.Int64
	for _, db := range []*sqldb.DB{one, other} {
		wg.Go(func() {
			for range 100 {
				_ = db.Tx(context.Background(), func(tx *sqldb.Tx) error {
					runs.Add(1)
					var n int64
					if err := tx.QueryRow(`SELECT n FROM items`).Scan(&n); err != nil {
						return err
					}
					_, err := tx.Exec(`UPDATE items SET n = $1`, n+1)
					return err
				})
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 200, runs.Load())
	var n int64
	require.NoError(t, one.QueryRow(context.Background(), `SELECT n FROM items`).Scan(&n))
	require.EqualValues(t, 200, n)
	require.ErrorIs(t, exec(other, `INSERT INTO parts (id, item) VALUES (1, 'nobody')`), sqldb.ErrConflict, "foreign keys hold there too")
}

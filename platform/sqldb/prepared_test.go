package sqldb_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// Statements that are kept compiled do what they did as texts: with other arguments, after an error, half read, when the
// schema changes below them, and when there are more than are kept.
func TestStatementsAreRunAgain(t *testing.T) {
	sqldbtest.Each(t, nil, func(t *testing.T, db *sqldb.DB) {
		ctx := context.Background()
		write := func(fn func(tx *sqldb.Tx) error) error { return db.Tx(ctx, fn) }
		must := func(fn func(tx *sqldb.Tx) error) { t.Helper(); require.NoError(t, write(fn)) }
		insert := func(id int64, text string) error {
			return write(func(tx *sqldb.Tx) error {
				_, err := tx.Exec(`INSERT INTO kept (id, text) VALUES ($1, $2)`, id, text)
				return err
			})
		}
		must(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`CREATE TABLE kept (id BIGINT PRIMARY KEY, text TEXT)`)
			return err
		})
		for i := range int64(10) {
			require.NoError(t, insert(i, fmt.Sprint("text ", i)))
			require.ErrorIs(t, insert(i, "again"), sqldb.ErrConflict)
		}
		texts := func(tx *sqldb.Tx, from int64) (all []string, err error) {
			return sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) },
				`SELECT text FROM kept WHERE id >= $1 ORDER BY id`, from)
		}
		half := func(tx *sqldb.Tx) error {
			rows, err := tx.Query(`SELECT text FROM kept WHERE id >= $1 ORDER BY id`, int64(0))
			require.NoError(t, err)
			require.True(t, rows.Next())
			rows.Close()
			all, err := texts(tx, 7)
			require.Equal(t, []string{"text 7", "text 8", "text 9"}, all)
			all, err2 := texts(tx, 9)
			require.Equal(t, []string{"text 9"}, all)
			require.NoError(t, err2)
			return err
		}
		require.NoError(t, db.Read(ctx, half))
		must(half)
		must(func(tx *sqldb.Tx) error {
			var n int64
			require.NoError(t, tx.QueryRow(`UPDATE kept SET text = $2 WHERE id >= $1 RETURNING id`, int64(8), "new").Scan(&n))
			all, err := texts(tx, 7)
			require.Equal(t, []string{"text 7", "new", "new"}, all, "all rows were changed, whichever was read")
			return err
		})
		for i := range 200 {
			must(func(tx *sqldb.Tx) error {
				var n int
				return tx.QueryRow(fmt.Sprintf(`SELECT %d FROM kept WHERE id = $1`, i), int64(1)).Scan(&n)
			})
		}
		must(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`ALTER TABLE kept ADD COLUMN more TEXT DEFAULT 'more'`)
			return err
		})
		must(func(tx *sqldb.Tx) error { // dropped and made anew, with other columns in another order
			for _, text := range []string{`DROP TABLE kept`, `CREATE TABLE kept (text TEXT, more TEXT, id BIGINT PRIMARY KEY)`} {
				if _, err := tx.Exec(text); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, insert(7, "anew"))
		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			all, err := texts(tx, 0)
			require.Equal(t, []string{"anew"}, all)
			return err
		}))
	})
}

package sqldb_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// benchEach runs fn on both engines, with the same database opened through sqldb and bare.
func benchEach(b *testing.B, fn func(b *testing.B, db *sqldb.DB, bare *sql.DB)) {
	for _, engine := range sqldbtest.Engines() {
		b.Run(string(engine), func(b *testing.B) {
			url := sqldbtest.URL(b, engine)
			db := sqldbtest.Open(b, url, schema)
			driver, dsn := "pgx", url
			if engine == sqldb.SQLite {
				driver, dsn = "sqlite", strings.TrimPrefix(url, "sqlite:")+"?_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)"
			}
			bare, err := sql.Open(driver, dsn)
			require.NoError(b, err)
			b.Cleanup(func() { _ = bare.Close() })
			for i := range 1000 {
				require.NoError(b, exec(db, `INSERT INTO items (id, firm) VALUES ($1, 'acme')`, fmt.Sprint("i", i)))
			}
			fn(b, db, bare)
		})
	}
}

// A lookup by key: bare database/sql, QueryRow, and a consistent Read around it.
func BenchmarkLookup(b *testing.B) {
	const query = `SELECT n FROM items WHERE id = $1`
	ctx := context.Background()
	benchEach(b, func(b *testing.B, db *sqldb.DB, bare *sql.DB) {
		var n int64
		b.Run("bare", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, bare.QueryRowContext(ctx, query, "i500").Scan(&n))
			}
		})
		b.Run("QueryRow", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, db.QueryRow(ctx, query, "i500").Scan(&n))
			}
		})
		b.Run("Read", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, db.Read(ctx, func(tx *sqldb.Tx) error { return tx.QueryRow(query, "i500").Scan(&n) }))
			}
		})
	})
}

// One small change per transaction.
func BenchmarkUpdate(b *testing.B) {
	const query = `UPDATE items SET n = n + 1 WHERE id = $1`
	ctx := context.Background()
	benchEach(b, func(b *testing.B, db *sqldb.DB, bare *sql.DB) {
		b.Run("bare", func(b *testing.B) {
			for b.Loop() {
				tx, err := bare.BeginTx(ctx, nil)
				require.NoError(b, err)
				_, err = tx.ExecContext(ctx, query, "i500")
				require.NoError(b, err)
				require.NoError(b, tx.Commit())
			}
		})
		b.Run("Tx", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, exec(db, query, "i500"))
			}
		})
	})
}

// Ten thousand rows by CopyIn; the number of interest is rows/s.
func BenchmarkCopyIn(b *testing.B) {
	benchEach(b, func(b *testing.B, db *sqldb.DB, _ *sql.DB) {
		for b.Loop() {
			require.NoError(b, db.Tx(context.Background(), func(tx *sqldb.Tx) error {
				if _, err := tx.Exec(`DELETE FROM items`); err != nil {
					return err
				}
				_, err := tx.CopyIn("items", []string{"id", "firm"}, rowsOf(10_000))
				return err
			}))
		}
		b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

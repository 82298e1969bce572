package runner_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/run"
)

// big makes a bench with a practice of n clients and no contacts, in pages as large as a provider's.
func big(b testing.TB, engine sqldb.Dialect, n int) *peertest.Bench {
	b.Helper()
	w := peertest.NewBench(b, sqldbtest.Open(b, sqldbtest.URL(b, engine), peertest.Schema))
	w.World.PageSize = 500
	for i := range n {
		w.World.PutClient(fmt.Sprintf("0195f000-0000-7000-8000-%012d", i), &connectorv1.ClientFields{
			Name: fmt.Sprintf("Client %06d Proprietary Limited", i), Code: fmt.Sprintf("C%06d", i), EntityType: "Company",
			Email: fmt.Sprintf("office@client%06d.example.com", i), Phone: "02 9999 0000", Mobile: "0400 000 000",
			BusinessNumber: fmt.Sprintf("51%09d", i), Website: "https://www.example.com/",
			PostalAddress:   &connectorv1.Address{Street: "PO Box 1234", City: "Sydney", Region: "NSW", PostalCode: "2001", Country: "Australia"},
			PhysicalAddress: &connectorv1.Address{Street: "Level 3\n12 Example Street", City: "Sydney", Region: "NSW", PostalCode: "2000", Country: "Australia"},
		})
	}
	w.World.Warm()
	return w
}

// BenchmarkFullSync measures full runs without limits: the first, which makes every client, and one in which nothing
// changed. rows/s are client records; the bare baseline is BenchmarkCopyAndMerge.
func BenchmarkFullSync(b *testing.B) {
	for _, engine := range sqldbtest.Engines() {
		for _, n := range []int{5000} {
			b.Run(fmt.Sprintf("%s/%d", engine, n), func(b *testing.B) {
				var first, again time.Duration
				for range b.N {
					b.StopTimer()
					w := big(b, engine, n)
					b.StartTimer()
					at := time.Now()
					id := w.Start(run.Full)
					w.Work()
					first += time.Since(at)
					require.Equal(b, run.Succeeded, w.Run(id).State, w.Run(id).Message)
					at = time.Now()
					w.Sync(run.Full)
					again += time.Since(at)
				}
				b.ReportMetric(float64(n*b.N)/first.Seconds(), "new-rows/s")
				b.ReportMetric(float64(n*b.N)/again.Seconds(), "unchanged-rows/s")
			})
		}
	}
}

// BenchmarkCopyAndMerge is the baseline: the rows that a first full run of as many clients leaves behind, copied into
// staging tables and merged from there into tables with the same indexes, 500 clients to a transaction.
func BenchmarkCopyAndMerge(b *testing.B) {
	const n, page = 5000, 500
	tables := []string{"clients", "links", "history", "changes", "events_outbox"}
	for _, engine := range sqldbtest.Engines() {
		b.Run(fmt.Sprintf("%s/%d", engine, n), func(b *testing.B) {
			var spent time.Duration
			for range b.N {
				b.StopTimer()
				w := big(b, engine, n)
				w.Sync(run.Full)
				source := map[string][][]any{}
				columns := map[string][]string{}
				for _, table := range tables {
					columns[table], source[table] = dump(b, w.DB, table)
				}
				target := sqldbtest.Open(b, sqldbtest.URL(b, engine), peertest.Schema)
				stage(b, target, tables)
				b.StartTimer()
				at := time.Now()
				for p := range n / page {
					require.NoError(b, target.Tx(context.Background(), func(tx *sqldb.Tx) error {
						for _, table := range tables {
							if err := merge(tx, table, columns[table], source[table][p*page:(p+1)*page]); err != nil {
								return err
							}
						}
						return nil
					}, sqldb.ReadCommitted))
				}
				spent += time.Since(at)
			}
			b.ReportMetric(float64(n*b.N)/spent.Seconds(), "rows/s")
		})
	}
}

// dump reads the columns and rows of a table that a run has filled.
func dump(b *testing.B, db *sqldb.DB, table string) (columns []string, rows [][]any) {
	query := `SELECT name FROM pragma_table_info('` + table + `')`
	if db.Dialect() == sqldb.Postgres {
		query = `SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = '` + table + `' ORDER BY ordinal_position`
	}
	require.NoError(b, db.Read(context.Background(), func(tx *sqldb.Tx) (err error) {
		columns, err = sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) }, query)
		if err != nil {
			return err
		}
		columns = slices.DeleteFunc(columns, func(c string) bool { return c == "position" || c == "published_seq" || c == "stream_created" })
		list := ""
		for i, c := range columns {
			if i > 0 {
				list += ", "
			}
			list += c
		}
		order := ""
		if table == "links" {
			order = " ORDER BY client" // as its foreign key wants it
		}
		if table == "clients" {
			order = " ORDER BY id"
		}
		rows, err = sqldb.Collect(tx, func(r *sqldb.Rows) ([]any, error) {
			row, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			return row, r.Scan(into...)
		}, `SELECT `+list+` FROM `+table+order)
		return err
	}))
	return columns, rows
}

func stage(b *testing.B, db *sqldb.DB, tables []string) {
	require.NoError(b, db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		for _, table := range tables {
			create := `CREATE TABLE stage_` + table + ` AS SELECT * FROM ` + table + ` WHERE 1 = 0`
			if tx.Dialect() == sqldb.Postgres {
				create = `CREATE UNLOGGED TABLE stage_` + table + ` (LIKE ` + table + ` INCLUDING DEFAULTS)`
				if table == "events_outbox" {
					create += `; ALTER TABLE stage_events_outbox DROP COLUMN position`
				}
			}
			if _, err := tx.Exec(create); err != nil {
				return err
			}
		}
		return nil
	}))
}

func merge(tx *sqldb.Tx, table string, columns []string, rows [][]any) error {
	if _, err := tx.CopyIn("stage_"+table, columns, slices.Values(rows)); err != nil {
		return err
	}
	list := ""
	for i, c := range columns {
		if i > 0 {
			list += ", "
		}
		list += c
	}
	if _, err := tx.Exec(`INSERT INTO ` + table + ` (` + list + `) SELECT ` + list + ` FROM stage_` + table + ` WHERE true ON CONFLICT DO NOTHING`); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM stage_` + table)
	return err
}

// BenchmarkMemory reports how much live heap there is at the peak while practices of two sizes are synced: it must not
// grow with the practice.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1000, 20000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				w := big(b, sqldb.Postgres, n)
				runtime.GC()
				var before runtime.MemStats
				runtime.ReadMemStats(&before)
				done := make(chan uint64)
				stop := make(chan struct{})
				go watchHeap(before.HeapAlloc, stop, done)
				b.StartTimer()
				w.Sync(run.Full)
				b.StopTimer()
				close(stop)
				b.ReportMetric(float64(<-done)/(1<<20), "peak-MiB")
			}
		})
	}
}

func watchHeap(before uint64, stop <-chan struct{}, done chan<- uint64) {
	var peak uint64
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			done <- peak
			return
		case <-tick.C:
			runtime.GC() // what is live, not what waits to be collected
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			if now.HeapAlloc > before {
				peak = max(peak, now.HeapAlloc-before)
			}
		}
	}
}

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

// big makes a bench with a practice of n clients and as many contacts, every fifth with two clients, in pages and batches
// as large as in earnest.
func big(b testing.TB, engine sqldb.Dialect, n int) *peertest.Bench {
	b.Helper()
	w := peertest.NewBench(b, sqldbtest.Open(b, sqldbtest.URL(b, engine), peertest.Schema))
	w.World.PageSize, w.Runner.Batch = page, page
	for i := range n {
		id := fmt.Sprintf("0195f000-0000-7000-8000-%012d", i)
		clients := []string{id}
		if i%5 == 0 {
			clients = append(clients, fmt.Sprintf("0195f000-0000-7000-8000-%012d", (i+1)%n))
		}
		w.World.PutContact(fmt.Sprintf("0195f000-0000-7000-9000-%012d", i), fmt.Sprintf("Alex Person %06d", i), clients...)
		w.World.PutClient(id, &connectorv1.ClientFields{
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

// page is how many records a page of XPM holds, and what a transaction of a step without pages handles by default.
const page = 500

// tables are those in which a first full run leaves rows.
var tables = []string{"clients", "links", "history", "changes", "contacts", "contact_links", "relations", "events_outbox"}

// rounds are measured in turn, the run and its baseline, and the middle one counts: the machine does other work too.
const rounds = 5

// BenchmarkFullSync measures full runs without limits, from the listing's messages to the rows: the first, which makes
// every client and contact, and one in which nothing changed; and, right after them, the baseline.
//
// Rows are those that the first run leaves behind in all tables, and nothing else that it writes on the way: clients,
// their links, their first history entries, the changes of the plan, contacts, their links and relations, and an event
// for each client and contact, since others learn of them only by that. The baseline gets these very rows, ready made,
// and brings them into a new database with the same tables, indexes and foreign keys, in one transaction: for each table
// one COPY into a staging table without indexes, and one INSERT ... SELECT ... ON CONFLICT DO NOTHING from there. It
// reads no listing, compares nothing, makes no ids, encodes no events and commits once, where a run commits every page.
func BenchmarkFullSync(b *testing.B) {
	for _, engine := range sqldbtest.Engines() {
		for _, n := range []int{5000} {
			b.Run(fmt.Sprintf("%s/%d", engine, n), func(b *testing.B) {
				for b.Loop() {
					var first, again, bare, ratio []float64
					for range rounds {
						rows, new, unchanged, merged := round(b, engine, n)
						first, bare = append(first, rows/new.Seconds()), append(bare, rows/merged.Seconds())
						again = append(again, float64(2*n)/unchanged.Seconds())
						ratio = append(ratio, merged.Seconds()/new.Seconds())
					}
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(median(ratio), "of-bare-rate")
					b.ReportMetric(median(first), "rows/s")
					b.ReportMetric(median(bare), "bare-rows/s")
					b.ReportMetric(median(again), "unchanged-records/s")
				}
			})
		}
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// round measures the runs and the baseline once.
func round(b *testing.B, engine sqldb.Dialect, n int) (rows float64, first, again, merged time.Duration) {
	w := big(b, engine, n)
	id := w.Start(run.Full)
	at := time.Now()
	w.Work()
	first = time.Since(at)
	require.Equal(b, run.Succeeded, w.Run(id).State, w.Run(id).Message)
	id = w.Start(run.Full)
	at = time.Now()
	w.Work()
	again = time.Since(at)
	require.EqualValues(b, n, w.Run(id).Counts.ClientsUnchanged)

	source, columns := map[string][][]any{}, map[string][]string{}
	for _, table := range tables {
		columns[table], source[table] = dump(b, w.DB, table)
		rows += float64(len(source[table]))
	}
	target := sqldbtest.Open(b, sqldbtest.URL(b, engine), peertest.Schema)
	stage(b, target, tables)
	at = time.Now()
	require.NoError(b, target.Tx(context.Background(), func(tx *sqldb.Tx) error {
		for _, table := range tables {
			if err := merge(tx, table, columns[table], source[table]); err != nil {
				return err
			}
		}
		return nil
	}, sqldb.ReadCommitted))
	return rows, first, again, time.Since(at)
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
		rows, err = sqldb.Collect(tx, func(r *sqldb.Rows) ([]any, error) {
			row, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			return row, r.Scan(into...)
		}, `SELECT `+list+` FROM `+table)
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
	_, err := tx.Exec(`INSERT INTO ` + table + ` (` + list + `) SELECT ` + list + ` FROM stage_` + table + ` WHERE true ON CONFLICT DO NOTHING`)
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

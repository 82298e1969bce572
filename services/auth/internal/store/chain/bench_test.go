package chain

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// BenchmarkAppend appends as the consumer does: changes come one by one, views in batches of a hundred. Entries per second
// say what a ledger keeps up with; bare inserts the same rows without a chain, in transactions of the same size.
func BenchmarkAppend(b *testing.B) {
	for _, engine := range []sqldb.Dialect{sqldb.SQLite, sqldb.Postgres} {
		for _, batch := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d", engine, batch), func(b *testing.B) { appendMany(b, engine, batch) })
			b.Run(fmt.Sprintf("%s/%d-bare", engine, batch), func(b *testing.B) { insertMany(b, engine, batch) })
		}
		// Replicas that append to one chain take turns at its head; to chains of their own they do not wait.
		b.Run(fmt.Sprintf("%s/4-writers-one-chain", engine), func(b *testing.B) { contend(b, engine, func(int) string { return "firm" }) })
		b.Run(fmt.Sprintf("%s/4-writers-apart", engine), func(b *testing.B) { contend(b, engine, func(i int) string { return fmt.Sprint("firm", i) }) })
	}
}

func rows(n int) []Entry {
	all := make([]Entry, n)
	for i := range all {
		all[i] = Entry{
			ID: uuid.NewString(), Occurred: time.Unix(1_780_000_000, 0), Actor: "0198c0de-0000-7000-8000-000000000001",
			Action: "/concord.sync.v1.ClientService/GetClient", Resource: "firms/0198c0de-0000-7000-8000-000000000002/clients/" + uuid.NewString(),
			Succeeded: true, Payload: make([]byte, 350),
		}
	}
	return all
}

func appendMany(b *testing.B, engine sqldb.Dialect, batch int) {
	db := sqldbtest.Open(b, sqldbtest.URL(b, engine), store.Migrations)
	for b.Loop() {
		part := rows(batch)
		if err := db.Tx(b.Context(), func(tx *sqldb.Tx) error { _, err := Append(tx, "firm", part); return err }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "entries/s")
}

func insertMany(b *testing.B, engine sqldb.Dialect, batch int) {
	db := sqldbtest.Open(b, sqldbtest.URL(b, engine), store.Migrations)
	next := int64(0)
	for b.Loop() {
		part := rows(batch)
		err := db.Tx(b.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.CopyIn("ledger_entries", []string{"chain", "sequence", "entry_id", "occurred_at", "actor", "action", "resource",
				"succeeded", "payload", "hash"}, func(yield func([]any) bool) {
				for _, e := range part {
					next++
					if !yield([]any{"firm", next, e.ID, sqldb.Micros(e.Occurred), e.Actor, e.Action, e.Resource, int64(1), e.Payload, e.Payload[:32]}) {
						return
					}
				}
			})
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "entries/s")
}

func contend(b *testing.B, engine sqldb.Dialect, chain func(writer int) string) {
	db := sqldbtest.Open(b, sqldbtest.URL(b, engine), store.Migrations)
	var writer atomic.Int64
	b.ResetTimer()
	b.SetParallelism(2) // four writers on two cores
	b.RunParallel(func(pb *testing.PB) {
		name := chain(int(writer.Add(1)))
		for pb.Next() {
			part := rows(10)
			if err := db.Tx(b.Context(), func(tx *sqldb.Tx) error { _, err := Append(tx, name, part); return err }); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N*10)/b.Elapsed().Seconds(), "entries/s")
}

package events_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

func benchEach(b *testing.B, fn func(b *testing.B, db *sqldb.DB)) {
	for _, engine := range sqldbtest.Engines() {
		b.Run(string(engine), func(b *testing.B) {
			fn(b, sqldbtest.Open(b, sqldbtest.URL(b, engine), events.Schema))
		})
	}
}

// What an event costs the transaction that emits it: a change of one row, with and without.
func BenchmarkOutbox(b *testing.B) {
	ctx := context.Background()
	benchEach(b, func(b *testing.B, db *sqldb.DB) {
		var version int64
		change := func(tx *sqldb.Tx) error {
			version++
			_, err := events.Newer(tx, "client", version)
			return err
		}
		b.Run("without", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, db.Tx(ctx, change))
			}
		})
		b.Run("with", func(b *testing.B) {
			e := events.Event{Firm: "acme", Entity: "clients/1", Sequence: 1, Message: archived("clients/1")}
			for b.Loop() {
				require.NoError(b, db.Tx(ctx, func(tx *sqldb.Tx) error {
					if err := change(tx); err != nil {
						return err
					}
					_, err := events.Add(tx, e)
					return err
				}))
			}
		})
	})
}

// A backlog of a thousand events from the outbox to the bus, every message synced to disk; and from there to the inbox.
func BenchmarkBacklog(b *testing.B) {
	const backlog = 1000
	ctx := context.Background()
	benchEach(b, func(b *testing.B, db *sqldb.DB) {
		js := eventstest.Start(b).Connect(b)
		fill := func(b *testing.B) {
			b.StopTimer()
			defer b.StartTimer()
			require.NoError(b, db.Tx(ctx, func(tx *sqldb.Tx) error {
				for i := range backlog {
					c := fmt.Sprint("clients/", i)
					if _, err := events.Add(tx, events.Event{Firm: "acme", Entity: c, Message: archived(c)}); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		drain := func(b *testing.B, r interface{ Run(context.Context) error }, query string, want int) {
			ctx, cancel := context.WithCancel(ctx)
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			eventstest.Until(b, "it is done", func() bool {
				var n int
				require.NoError(b, db.QueryRow(ctx, query).Scan(&n))
				return n == want
			})
			cancel()
			require.NoError(b, <-done)
		}
		emitted := 0
		b.Run("relay", func(b *testing.B) {
			for b.Loop() {
				fill(b)
				emitted += backlog
				drain(b, events.NewRelay(db, js, "sync", events.RelayOptions{}), `SELECT count(*) FROM events_outbox WHERE published_seq IS NULL`, 0)
			}
			b.ReportMetric(backlog*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
		b.Run("consumer", func(b *testing.B) {
			runs := 0
			for b.Loop() {
				runs++ // a consumer that nobody has seen is given everything
				name := fmt.Sprint("documents", runs)
				c := events.NewConsumer(db, js, name, events.ConsumerOptions{})
				events.Handle(c, func(_ context.Context, tx *sqldb.Tx, m events.Meta, _ *synceventsv1.ClientArchived) error {
					_, err := events.Newer(tx, name+m.ID, 1)
					return err
				})
				drain(b, c, `SELECT count(*) FROM events_inbox WHERE consumer = '`+name+`'`, emitted)
			}
			b.ReportMetric(float64(emitted*runs)/b.Elapsed().Seconds(), "events/s")
		})
	})
}

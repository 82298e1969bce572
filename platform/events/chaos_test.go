package events_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// Everything that can go wrong goes wrong in random order while events flow; in the end each took effect once.
func TestEverythingGoesWrong(t *testing.T) {
	const rounds, perRound = 30, 10
	each(t, func(w *world) {
		seed := uint64(time.Now().UnixNano())
		w.Log("seed", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		emitter := sqldbtest.Open(w, w.outURL, nil) // without faults: whether events are emitted is not the question
		emitted := 0
		emit := func() {
			require.NoError(w, emitter.Tx(context.Background(), func(tx *sqldb.Tx) error {
				client := fmt.Sprint("clients/", emitted)
				_, err := events.Add(tx, events.Event{Firm: "acme", Entity: client, Message: archived(client)})
				return err
			}))
			emitted++
		}
		poll := events.RelayOptions{Batch: 4, Poll: 10 * time.Millisecond}
		start := []func() func(){
			func() func() { return w.run(w.relay(poll)) }, func() func() { return w.run(w.relay(poll)) },
			func() func() { return w.run(w.consumer(quick())) }, func() func() { return w.run(w.consumer(quick())) },
		}
		stop := make([]func(), len(start))
		for i := range start {
			stop[i] = start[i]()
		}
		few := func() int { return 1 + random.IntN(3) }
		mishaps := []func(){
			func() { w.nats.Restart(w) },
			func() { w.nats.Wipe(w) },
			func() { i := random.IntN(len(start)); stop[i](); stop[i] = start[i]() },
			func() { w.inFault.FailCommit(few()) },
			func() { w.inFault.CommitThenFail(few()) },
			func() { w.inFault.RefuseCommit(few()) },
			func() { w.inFault.Freeze(); emit(); w.inFault.Thaw() },
			func() { w.outFault.FailExec("published_seq = v.column2", few()) },
			func() { w.outFault.FailExec("FROM events_outbox", few()) },
			func() { w.outFault.CommitThenFail(few()) },
		}
		for range rounds {
			for range perRound {
				emit()
			}
			mishaps[random.IntN(len(mishaps))]()
		}
		w.requireEffects(emitted)
		w.waitPublished()
		w.requireEffects(emitted)
	})
}

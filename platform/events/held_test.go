package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/sqldb"
)

// What one stream does not take leaves what is known about the others as it is.
func TestAStreamThatTakesNothingDoesNotAgeTheOthers(t *testing.T) {
	ctx := context.Background()
	each(t, func(w *world) {
		c := w.consumer(quick())
		lag := func() time.Duration {
			d, err := c.Lag(ctx, "SYNC", "acme")
			require.NoError(w, err)
			return d
		}
		w.run(c)
		relay := w.relay(events.RelayOptions{CheckEvery: time.Hour})
		w.run(relay)
		eventstest.Until(w, "the emitter is heard", func() bool { return lag() < 3*time.Second })

		js := w.nats.Connect(w)
		require.NoError(w, events.EnsureStreams(ctx, js, 1))
		audit, err := js.Stream(ctx, "AUDIT")
		require.NoError(w, err)
		cfg := audit.CachedInfo().Config
		cfg.MaxMsgs, cfg.Discard = 1, jetstream.DiscardNew
		_, err = js.UpdateStream(ctx, cfg)
		require.NoError(w, err)
		require.NoError(w, w.emitAll(events.Event{Firm: "acme", Message: &auditeventsv1.AuditRecorded{}}))
		w.waitPublished()
		require.NoError(w, w.emitAll(events.Event{Firm: "acme", Message: &auditeventsv1.AuditRecorded{}}))
		eventstest.Until(w, "an event waits for longer than beacons are apart", func() bool {
			waits, err := relay.Lag(ctx)
			return err == nil && waits > 5*time.Second
		})
		w.emit("c", 1)
		w.requireEffects(1)
		eventstest.Until(w, "what happens meanwhile is known", func() bool { return lag() < 3*time.Second })
	})
}

// A stream that confirms nothing, as one without a leader does, delays the events of no other.
func TestAStreamThatDoesNotAnswerDelaysNoOther(t *testing.T) {
	const many, limit = 20, 10 * time.Second
	ctx := context.Background()
	each(t, func(w *world) {
		js := w.nats.Connect(w)
		require.NoError(w, events.EnsureStreams(ctx, js, 1))
		audit, err := js.Stream(ctx, "AUDIT")
		require.NoError(w, err)
		cfg := audit.CachedInfo().Config
		cfg.NoAck = true
		_, err = js.UpdateStream(ctx, cfg)
		require.NoError(w, err)
		w.run(w.consumer(quick()))
		w.run(w.relay(events.RelayOptions{CheckEvery: time.Hour}))
		oneByOne := func(prefix string, before int) time.Duration {
			begun := time.Now()
			for i := range many {
				w.emit(fmt.Sprint(prefix, i), 1)
				w.requireEffects(before + i + 1)
			}
			return time.Since(begun)
		}
		usual := oneByOne("a", 0)
		require.NoError(w, w.emitAll(slices.Repeat([]events.Event{{Firm: "acme", Message: &auditeventsv1.AuditRecorded{}}}, 300)...))
		eventstest.Until(w, "audit events are on their way", func() bool { return w.inStream(js, "AUDIT") > 0 })
		beside := oneByOne("b", many)
		require.Positive(w, w.count(w.out, `SELECT count(*) FROM events_outbox WHERE published_seq IS NULL AND stream = 'AUDIT'`))
		// Each that waited for a confirmation of the other stream would take two seconds.
		require.Less(w, beside, 3*usual+limit, "usually it takes %s", usual)
		cfg.NoAck = false
		_, err = js.UpdateStream(ctx, cfg)
		require.NoError(w, err)
		w.waitPublished()
		require.Equal(w, 300, w.inStream(js, "AUDIT"), "none twice")
	})
}

// An event that the bus refuses is not overtaken by a later one of the same entity, however many come between them.
func TestARefusedEventIsNotOvertaken(t *testing.T) {
	ctx := context.Background()
	each(t, func(w *world) {
		js := w.nats.Connect(w)
		require.NoError(w, events.EnsureStreams(ctx, js, 1))
		stream, err := js.Stream(ctx, "SYNC")
		require.NoError(w, err)
		cfg := stream.CachedInfo().Config
		cfg.MaxMsgSize = 2000
		_, err = js.UpdateStream(ctx, cfg)
		require.NoError(w, err)
		first, second := archived(strings.Repeat("x", 3000)), archived("small")
		require.NoError(w, w.emitAll(events.Event{Firm: "acme", Entity: "a", Sequence: 1, Message: first}))
		w.emitMany("b", 10)
		require.NoError(w, w.emitAll(events.Event{Firm: "acme", Entity: "a", Sequence: 2, Message: second}))
		w.run(w.relay(events.RelayOptions{Batch: 4}))
		waiting := func() int { return w.count(w.out, `SELECT count(*) FROM events_outbox WHERE published_seq IS NULL`) }
		for round := range 3 {
			w.emit(fmt.Sprint("c", round), 1)
			eventstest.Until(w, "others are published", func() bool { return waiting() <= 2 })
			require.Equal(w, 2, waiting())
		}
		cfg.MaxMsgSize = -1
		_, err = js.UpdateStream(ctx, cfg)
		require.NoError(w, err)
		w.waitPublished()
		require.Equal(w, 1, w.count(w.out, `SELECT count(*) FROM events_outbox a JOIN events_outbox b ON a.published_seq < b.published_seq
			WHERE a.entity = 'a' AND a.sequence = 1 AND b.entity = 'a' AND b.sequence = 2`))
	})
}

// What another replica published, which believes to be the one that does, counts in what is said about the stream.
func TestABeaconCountsWhatOthersPublished(t *testing.T) {
	ctx := context.Background()
	each(t, func(w *world) {
		js := w.nats.Connect(w)
		require.NoError(w, events.EnsureStreams(ctx, js, 1))
		beacons := make(chan *nats.Msg, 1000)
		_, err := js.Conn().ChanSubscribe(topology.BeaconSubject("SYNC"), beacons)
		require.NoError(w, err)
		w.run(w.relay(events.RelayOptions{CheckEvery: time.Hour}))
		<-beacons // it has looked at the stream
		ack, err := js.Publish(ctx, "sync.v1.client_archived", nil)
		require.NoError(w, err)
		stream, err := js.Stream(ctx, "SYNC")
		require.NoError(w, err)
		require.NoError(w, w.out.Tx(ctx, func(tx *sqldb.Tx) error {
			if _, err := events.Add(tx, events.Event{Firm: "acme", Entity: "a", Message: archived("a")}); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE events_outbox SET published_seq = $1, stream_created = $2`, int64(ack.Sequence), stream.CachedInfo().Created.UnixNano())
			return err
		}))
		eventstest.Until(w, "a beacon counts it", func() bool {
			var b struct{ Last uint64 }
			require.NoError(w, json.Unmarshal((<-beacons).Data, &b))
			return b.Last >= ack.Sequence
		})
	})
}

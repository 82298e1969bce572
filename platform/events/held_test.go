package events_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
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
		require.Less(w, lag(), 3*time.Second)
		w.emit("c", 1)
		w.requireEffects(1)
		eventstest.Until(w, "what happens meanwhile is known", func() bool { return lag() < 3*time.Second })
	})
}

package connector_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/sim"
)

// TestEventsReachTheBus: what happens to connections is told to the suite, in order.
func TestEventsReachTheBus(t *testing.T) {
	js := eventstest.Start(t).Connect(t)
	s := onSQLite(t, options{bus: js})
	c := s.connect(firmA, sim.Owner, sim.PracticeName)
	c.Options.FullSyncEveryDays = 3
	_, err := s.connections.UpdateConnection(s.admin(firmA), update(c, "options.full_sync_every_days"))
	require.NoError(t, err)
	_, err = s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName()})
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var reader jetstream.Consumer
	s.until("there is a stream", func() bool {
		reader, err = js.OrderedConsumer(ctx, "CONNECTOR", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"connector.v1.*"}})
		return err == nil
	})
	messages, err := reader.Messages()
	require.NoError(t, err)
	defer messages.Stop()
	for _, want := range []string{"connection_established", "connection_updated", "connection_removed"} {
		m, err := messages.Next(jetstream.NextContext(ctx))
		require.NoError(t, err)
		require.Equal(t, "connector.v1."+want, m.Subject())
		require.Equal(t, firmA, m.Headers().Get("Concord-Firm"))
	}
}

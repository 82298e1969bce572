package bus_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/allinone/internal/bus"
)

// What was acknowledged is there after a restart on the same directory, and a repeated message id is stored once.
func TestBusKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	b, err := bus.Start(dir)
	require.NoError(t, err)
	js := connect(t, b)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)
	for _, duplicate := range []bool{false, true} {
		ack, err := js.Publish(t.Context(), "s.a", []byte("x"), jetstream.WithMsgID("1"))
		require.NoError(t, err)
		require.Equal(t, duplicate, ack.Duplicate)
	}
	b.Stop()

	b, err = bus.Start(dir)
	require.NoError(t, err)
	defer b.Stop()
	s, err := connect(t, b).Stream(t.Context(), "S")
	require.NoError(t, err)
	require.EqualValues(t, 1, s.CachedInfo().State.Msgs)
}

func connect(t *testing.T, b *bus.Bus) jetstream.JetStream {
	t.Helper()
	conn, err := b.Connect("test")
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	return js
}

package events_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/events/link"
)

// shortLine is a way to a server that ends each connection after so many bytes of answers.
type shortLine struct {
	addr  string
	ended atomic.Int64
}

func newShortLine(t *testing.T, server string, bytes int) *shortLine {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = lis.Close() })
	l := &shortLine{addr: lis.Addr().String()}
	go func() {
		for {
			client, err := lis.Accept()
			if err != nil {
				return
			}
			go l.pass(client, server, bytes)
		}
	}()
	return l
}

func (l *shortLine) pass(client net.Conn, server string, bytes int) {
	defer client.Close()
	up, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		defer up.Close()
		copyUpTo(up, client, 1<<40)
	}()
	if copyUpTo(client, up, bytes) {
		l.ended.Add(1)
	}
}

// copyUpTo copies until one side ends, or so many bytes were copied, and then says so.
func copyUpTo(to, from net.Conn, bytes int) bool {
	buf := make([]byte, 4<<10)
	for bytes > 0 {
		n, err := from.Read(buf)
		if err != nil {
			return false
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return false
		}
		bytes -= n
	}
	return true
}

// Weeks of events are not compared with the stream in one go: what a lost connection, or the bound on one step, interrupts goes
// on where it was. Were it begun anew each time, it would never come to the end, and nothing would be published meanwhile.
func TestAComparisonThatIsInterruptedGoesOn(t *testing.T) {
	each(t, func(w *world) {
		const n = 3500 // four readings of a thousand
		ctx, js := context.Background(), w.nats.Connect(w)
		stop := w.run(w.relay(events.RelayOptions{CheckEvery: time.Hour}))
		w.emitMany("c", n)
		w.waitPublished()
		stop()
		require.Equal(w, n, w.inStream(js, "SYNC"))
		// As if the last one had been lost, and somebody else's were in its place.
		w.exec(w.out, `UPDATE events_outbox SET id = 'lost' WHERE position = (SELECT max(position) FROM events_outbox)`)

		line := newShortLine(w.T, strings.TrimPrefix(w.nats.URL(), "nats://"), 1<<20) // two thousand headers, not three
		nc, err := link.Connect(link.Config{URL: "nats://" + line.addr, Name: w.Name()})
		require.NoError(w, err)
		w.Cleanup(nc.Close)
		short, err := jetstream.New(nc)
		require.NoError(w, err)
		w.run(events.NewRelay(w.out, short, "sync", events.RelayOptions{CheckEvery: time.Hour}))
		w.emit("after", 1)
		eventstest.Until(w, "what was lost, and what came later, is published", func() bool { return w.inStream(js, "SYNC") == n+2 })
		require.Positive(w, line.ended.Load())
		stream, err := js.Stream(ctx, "SYNC")
		require.NoError(w, err)
		msg, err := stream.GetMsg(ctx, n+1)
		require.NoError(w, err)
		require.Equal(w, "lost", msg.Header.Get(jetstream.MsgIDHeader))
	})
}

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
	"github.com/concord-suite/concord/platform/events/link"
)

// slowBus passes on what clients give it at so many bytes a second and never refuses any: a server whose disk is slow looks
// so. It counts what it was given.
type slowBus struct {
	addr  string
	given atomic.Int64
}

func newSlowBus(t *testing.T, server string, perSecond int) *slowBus {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = lis.Close() })
	b := &slowBus{addr: lis.Addr().String()}
	go func() {
		for {
			client, err := lis.Accept()
			if err != nil {
				return
			}
			go b.pass(ctx, client, server, perSecond)
		}
	}()
	return b
}

func (b *slowBus) pass(ctx context.Context, client net.Conn, server string, perSecond int) {
	up, err := net.Dial("tcp", server)
	if err != nil {
		_ = client.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { _, _ = client.Close(), up.Close() })
	defer stop()
	defer func() { _, _ = client.Close(), up.Close() }()
	queue := make(chan byte, 8<<20) // far more than a test gives
	go func() {
		defer close(queue)
		buf := make([]byte, 32<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			b.given.Add(int64(n))
			for _, c := range buf[:n] {
				queue <- c
			}
		}
	}()
	go func() {
		defer client.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := up.Read(buf)
			if err != nil {
				return
			}
			if _, err = client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var passed int
	begun := time.Now()
	for first := range queue {
		may := int(time.Since(begun).Seconds()*float64(perSecond)) - passed
		if may > perSecond/2 { // nothing came for a while; what was not used is gone
			passed, may = passed+may-perSecond/2, perSecond/2
		}
		piece := []byte{first}
		for len(piece) < may && len(queue) > 0 {
			piece = append(piece, <-queue)
		}
		if _, err := up.Write(piece); err != nil {
			return
		}
		passed += len(piece)
		<-tick.C
	}
}

// A bus that takes some 20 events a second is given no more than it confirms in time. Were it given a batch at once, most
// confirmations would come too late, the same events would be given again behind the first copies, and the queue would
// grow until nothing is ever confirmed in time.
func TestASlowBusIsNotGivenMoreThanItConfirms(t *testing.T) {
	each(t, func(w *world) {
		const size, n = 1 << 10, 150
		direct := w.nats.Connect(w)
		require.NoError(w, events.EnsureStreams(context.Background(), direct, 1))
		bus := newSlowBus(w.T, strings.TrimPrefix(w.nats.URL(), "nats://"), 24*size)
		nc, err := link.Connect(link.Config{URL: "nats://" + bus.addr, Name: w.Name()})
		require.NoError(w, err)
		w.Cleanup(nc.Close)
		js, err := jetstream.New(nc)
		require.NoError(w, err)
		w.emitMany(strings.Repeat("x", size/2), n) // the name is sent twice: in the message, and as its entity
		w.run(events.NewRelay(w.out, js, "sync", events.RelayOptions{CheckEvery: time.Hour}))
		w.waitPublished()
		stream, err := direct.Stream(context.Background(), "SYNC")
		require.NoError(w, err)
		state := stream.CachedInfo().State
		require.EqualValues(w, n, state.Msgs)
		w.Logf("%d events of %d bytes, %d bytes given to the bus", state.Msgs, state.Bytes, bus.given.Load())
		require.Less(w, bus.given.Load(), 2*int64(state.Bytes), "hardly any is given twice")
	})
}

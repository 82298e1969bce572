package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-suite/concord/platform/events/topology"
)

// How long things are kept. Each number is at least the one before it: what can still be published again must still be
// known where it took effect.
const (
	// OutboxRetention is how long a published event stays in the outbox, and so how late a loss of the bus may be
	// noticed. Two weeks cover a broken bus over holidays.
	OutboxRetention = 14 * 24 * time.Hour
	// InboxRetention is how long a consumer knows what it has done. An event may be published again at the end of
	// OutboxRetention and be read at the end of topology.Retention after that.
	InboxRetention = 35 * 24 * time.Hour
)

// Prepared is a number of replicas for relays and consumers that make and change no streams: migrate does. They wait for
// what is missing and say what it is.
const Prepared = -1

// Stream is the part of the bus that holds the events of one emitter.
type Stream = topology.Stream

// Streams lists the streams of the suite, see package topology.
func Streams() []Stream { return topology.Streams() }

// errDisconnected is why a context of whileConnected ended.
var errDisconnected = errors.New("events: the connection to the bus was lost")

// whileConnected waits until nc is connected and returns a context that ends when it is not any more. Requests that were
// under way then will not be answered, and whoever answers after a reconnection may be another server, or have lost
// data: what was known about streams and consumers is to be asked again. It returns at once when ctx has ended.
func whileConnected(ctx context.Context, nc *nats.Conn) (connected context.Context, end func()) {
	connected, cancel := context.WithCancelCause(ctx)
	changes := nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	for !nc.IsConnected() && ctx.Err() == nil {
		select {
		case <-changes:
		case <-ctx.Done():
		}
	}
	go func() {
		for status := range changes { // closed by RemoveStatusListener
			if status != nats.CONNECTED {
				cancel(errDisconnected)
			}
		}
	}()
	return connected, func() {
		nc.RemoveStatusListener(changes)
		cancel(nil)
	}
}

// EnsureStreams makes all streams of the suite that are missing and brings the others to what this release expects, for a
// bus that belongs to one program. replicas is how many servers of a NATS cluster hold a message; streams that exist keep
// theirs.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, replicas int) error {
	for _, s := range Streams() {
		if _, err := openStream(ctx, js, s, replicas); err != nil {
			return err
		}
	}
	return nil
}

// openStream returns the stream, made or adapted as needed unless replicas is Prepared.
func openStream(ctx context.Context, js jetstream.JetStream, s Stream, replicas int) (jetstream.Stream, error) {
	if replicas == Prepared {
		return topology.Open(ctx, js, s)
	}
	stream, _, err := topology.Ensure(ctx, js, s, replicas, false)
	return stream, err
}

// sayEvery is how often the same trouble is told while it lasts.
const sayEvery = 30 * time.Second

// told keeps a log from filling with what goes on: the same line is written once, then every sayEvery.
type told struct{ lately sync.Map }

// bare are the errors that say no more than that the bus, or its streams, are not there. The monitor of the connection (package
// link) says so once for the whole program, with why and what to do.
var bare = []string{
	nats.ErrReconnectBufExceeded.Error(), errDisconnected.Error(),
	fmt.Sprintf("err_code=%d ", jetstream.JSErrCodeJetStreamNotEnabled), fmt.Sprintf("err_code=%d ", jetstream.JSErrCodeJetStreamNotEnabledForAccount),
}

// anew reports whether text, which holds an error's, is to be written now.
func (t *told) anew(text string) bool {
	if slices.ContainsFunc(bare, func(error string) bool { return strings.Contains(text, error) }) {
		return false
	}
	if _, said := t.lately.LoadOrStore(text, nil); said {
		return false
	}
	time.AfterFunc(sayEvery, func() { t.lately.Delete(text) })
	return true
}

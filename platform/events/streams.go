package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How long things are kept. Each number is at least the one before it: what can still be published again must still be
// known where it took effect.
const (
	// OutboxRetention is how long a published event stays in the outbox, and so how late a loss of the bus may be
	// noticed. Two weeks cover a broken bus over holidays.
	OutboxRetention = 14 * 24 * time.Hour
	// streamRetention is how long the bus keeps an event. Longer than the outbox, so that a row of the outbox is always
	// expected on the bus.
	streamRetention = 16 * 24 * time.Hour
	// InboxRetention is how long a consumer knows what it has done. An event may be published again at the end of
	// OutboxRetention and be read at the end of streamRetention after that.
	InboxRetention = 35 * 24 * time.Hour
)

// duplicateWindow is how long the bus itself recognises an event it has already taken. It costs memory on the server; a
// relay that is away for longer makes duplicates, which the inbox takes care of.
const duplicateWindow = 20 * time.Minute

// Stream is the part of the bus that holds the events of one emitter.
type Stream struct {
	Name    string // of the JetStream stream
	Emitter string // first word of the subjects; the stream takes "<emitter>.v1.>"
}

// Streams lists the streams of the suite. Every service emits into AUDIT besides its own.
func Streams() []Stream {
	return []Stream{
		{"AUTH", "auth"}, {"CONNECTOR", "connector"}, {"SYNC", "sync"}, {"DOCUMENTS", "documents"}, {"AUDIT", "audit"},
	}
}

// streamOf returns the stream that takes subject.
func streamOf(subject string) (Stream, bool) {
	emitter, rest, _ := strings.Cut(subject, ".")
	for _, s := range Streams() {
		if s.Emitter == emitter && strings.HasPrefix(rest, "v1.") {
			return s, true
		}
	}
	return Stream{}, false
}

// Connect returns a connection to the NATS server at url that is never given up: it is retried for as long as the
// process lives, and what is sent meanwhile fails at once instead of being held back. name appears in the server's
// list of connections. opts come last and win.
func Connect(url, name string, opts ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // credentials may be in the middle of a rotation
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(200*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1), // the outbox is the buffer
		// A frozen server is noticed in 20 seconds.
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(1),
	}, opts...)
	nc, err := nats.Connect(url, all...)
	if err != nil {
		return nil, fmt.Errorf("events: connect to the bus: %w", err)
	}
	return nc, nil
}

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

// EnsureStreams makes the streams that are missing and brings the others to what this release expects. Relays and
// consumers do it for the streams they use; it is for set-up. replicas is how many servers of a NATS cluster hold a
// message, 1 or 3; streams that exist keep theirs.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, replicas int) error {
	for _, s := range Streams() {
		if _, err := ensureStream(ctx, js, s.Name, replicas); err != nil {
			return err
		}
	}
	return nil
}

// ensureStream returns the stream called name, made or adapted as needed.
func ensureStream(ctx context.Context, js jetstream.JetStream, name string, replicas int) (jetstream.Stream, error) {
	i := slices.IndexFunc(Streams(), func(s Stream) bool { return s.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("events: there is no stream %s in the suite", name)
	}
	stream, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		cfg := jetstream.StreamConfig{Name: name, Replicas: max(1, replicas)}
		shape(&cfg, Streams()[i])
		stream, err = js.CreateStream(ctx, cfg)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody else was faster
			stream, err = js.Stream(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("events: stream %s: %w", name, err)
	}
	cfg := stream.CachedInfo().Config
	if shape(&cfg, Streams()[i]) {
		if stream, err = js.UpdateStream(ctx, cfg); err != nil {
			return nil, fmt.Errorf("events: stream %s: %w", name, err)
		}
	}
	return stream, nil
}

// shape sets what this package decides about a stream and reports whether that changed anything. The rest (replicas,
// placement) belongs to who runs the servers.
func shape(cfg *jetstream.StreamConfig, s Stream) (changed bool) {
	subjects := []string{s.Emitter + ".v1.>"}
	changed = !slices.Equal(cfg.Subjects, subjects) || cfg.MaxAge != streamRetention || cfg.Duplicates != duplicateWindow ||
		!cfg.DenyDelete || !cfg.DenyPurge || !cfg.AllowDirect
	cfg.Subjects, cfg.MaxAge, cfg.Duplicates = subjects, streamRetention, duplicateWindow
	cfg.DenyDelete, cfg.DenyPurge = true, true // nobody takes back what others may have acted on
	cfg.AllowDirect = true                     // single messages can be looked up cheaply, see regression.go
	return changed
}

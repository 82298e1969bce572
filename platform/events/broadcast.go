package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"

	"github.com/concord-suite/concord/platform/events/topology"
)

const (
	// broadcastRetry is the wait before a broadcast is taken up again after the bus failed.
	broadcastRetry = time.Second
	// broadcastIdle is after how long without a message or heartbeat the reader is made anew.
	broadcastIdle = 5 * time.Second
)

// Broadcast calls fn with every event of one kind, in every process that asks, until ctx ends. It begins with the events
// of the last `since`, so that a process that starts, or lost the bus for a while, misses none of that age.
//
// It is for what each process must know at once and soon may forget, such as revoked sessions. It keeps no place and no
// inbox: fn sees events again after a reconnection and must not mind. What must not be lost goes to a Consumer.
//
// It returns nil when ctx ends. It fails at once when the connection is that of a part of the suite which is not declared
// to watch this kind.
func Broadcast[T proto.Message](ctx context.Context, js jetstream.JetStream, logger *slog.Logger, since time.Duration, fn func(T)) error {
	var zero T
	desc := zero.ProtoReflect().Descriptor()
	ev, _ := proto.GetExtension(desc.Options(), optionsv1.E_Event).(*optionsv1.Event)
	subject := ev.GetSubject()
	stream, ok := topology.StreamOf(subject)
	if !ok {
		return fmt.Errorf("events: no stream takes the subject %q", subject)
	}
	if err := topology.MayWatch(js.Conn().Opts.Name, subject); err != nil {
		return err
	}
	var said told
	for ctx.Err() == nil {
		err := broadcastOnce(ctx, js, stream.Name, subject, since, func(data []byte) {
			m, ok := zero.ProtoReflect().New().Interface().(T)
			if !ok || proto.Unmarshal(data, m) != nil {
				return
			}
			fn(m)
		})
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			// The emitter has not started yet, or the bus lost everything; the emitter's relay makes the stream.
			logger.DebugContext(ctx, "broadcast waits for its stream", "subject", subject)
		} else if said.anew(err.Error()) {
			logger.WarnContext(ctx, "broadcast interrupted; trying again", "subject", subject, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(broadcastRetry):
		}
	}
	return nil
}

// broadcastOnce reads until the bus fails or ctx ends.
func broadcastOnce(
	ctx context.Context, js jetstream.JetStream, stream, subject string, since time.Duration, fn func([]byte),
) error {
	// The reader starts by the server's clock; ours only says how far back.
	asked, cancel := context.WithTimeout(ctx, subscribeWait)
	defer cancel()
	info, err := js.Stream(asked, stream)
	if err != nil {
		return err
	}
	start := info.CachedInfo().TimeStamp.Add(-since)
	reader, err := js.OrderedConsumer(asked, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &start,
	})
	if err != nil {
		return err
	}
	msgs, err := reader.Messages(jetstream.PullHeartbeat(broadcastIdle))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, msgs.Stop)
	defer stop()
	defer msgs.Stop()
	for {
		m, err := msgs.Next()
		if err != nil {
			return err
		}
		fn(m.Data())
	}
}

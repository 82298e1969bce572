package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/concord-suite/concord/platform/events"
	autheventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	"github.com/nats-io/nats.go/jetstream"
)

// sweepEvery is how often old entries leave the cache: they are useless after a minute.
const sweepEvery = time.Minute

// Follow drops revoked sessions as the bus names them, and old entries, until ctx ends. Without a bus an entry's age is
// what ends it here; the services refuse a revoked session's tokens by themselves.
func (c *Cache) Follow(ctx context.Context, bus jetstream.JetStream, logger *slog.Logger) error {
	refused := make(chan error, 1)
	if bus != nil {
		go func() {
			refused <- events.Broadcast(ctx, bus, logger, maxAge, func(e *autheventsv1.SessionRevoked) { c.Forget(e.GetSession()) })
		}()
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-refused:
			if err != nil {
				return err
			}
		case <-tick.C:
			c.mu.Lock()
			c.sweep()
			c.mu.Unlock()
		}
	}
}

package boot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-suite/concord/platform/telemetry"
)

// What a stop takes at most once the servers have ended, whatever hangs: a kubelet that kills in the middle would make a
// lost connection of each of these.
const (
	// settleTime is for the last audit entries, for what the last calls put into the outbox, and for the service's own work
	// to end.
	settleTime = 5 * time.Second
	// publishTime, of settleTime, is for the outbox. A relay that works needs some milliseconds.
	publishTime = 3 * time.Second
	// closeTime is for the connections to bus, database and peers.
	closeTime = 2 * time.Second
	// flushTime is for the last traces: a collector that is away must not hold a process up.
	flushTime = 3 * time.Second
	// StopTime is all of it. A process that is told to stop ends after its settings drain_delay and grace and this at the
	// latest; terminationGracePeriodSeconds of a pod must be more.
	StopTime = settleTime + closeTime + flushTime
)

// stopRule says in a line how long a stop takes.
func (b *baseSettings) stopRule() string {
	return fmt.Sprintf("a stop takes at most %s = drain_delay + grace + %s; terminationGracePeriodSeconds must be more",
		b.DrainDelay+b.Grace+StopTime, StopTime)
}

// work is what a service does besides answering. It outlives the context of Serve: calls that are still answered then may
// need it, and their audit entries do.
type work struct {
	cancel, cancelAudit context.CancelFunc
	ended, audited      chan struct{} // closed when the service's Run, and the recorder's, have returned
	err                 error         // what the service's returned; read after ended
}

func (rt *Runtime) startWork(ctx context.Context, svc Service) *work {
	w := &work{ended: make(chan struct{}), audited: make(chan struct{})}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	auditing, cancelAudit := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel, w.cancelAudit = cancel, cancelAudit
	go func() {
		defer close(w.ended)
		if err := svc.Run(own); err != nil && !(own.Err() != nil && errors.Is(err, context.Canceled)) {
			w.err = fmt.Errorf("%s: %w", rt.Name, err)
		}
	}()
	go func() {
		defer close(w.audited)
		if rt.Audit == nil {
			return
		}
		if err := rt.Audit.Run(auditing); err != nil {
			rt.Logger.ErrorContext(ctx, "audit entries were lost", "error", err)
		}
	}()
	return w
}

// failed returns when ctx ends, with nil, or when the service's work fails. Work that ends by itself without an error was
// none: the service serves on.
func (w *work) failed(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-w.ended:
		if w.err == nil {
			<-ctx.Done()
		}
		return w.err
	}
}

// settle ends the work once the last call has: what calls left behind is written and published first. It returns why the
// work failed while it ended.
func (rt *Runtime) settle(ctx context.Context, w *work) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	defer w.cancel()
	failed := ended(w.ended) && w.err != nil // and was told so
	w.cancelAudit()
	if !await(ctx, w.audited) {
		rt.Logger.WarnContext(ctx, "the last audit entries are not written: the database does not answer")
	}
	if !ended(w.ended) {
		rt.publish(ctx)
	}
	w.cancel()
	if !await(ctx, w.ended) {
		rt.Logger.WarnContext(ctx, "the service's own work did not end in time and is left")
		return nil
	}
	if failed {
		return nil
	}
	return w.err
}

// publish waits until the relay has given the bus what is in the outbox now. What comes later, from the service's own work,
// the next start or another replica publishes.
func (rt *Runtime) publish(ctx context.Context) {
	if rt.DB == nil || rt.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	var last int64
	left := -1
	for {
		query := `SELECT count(*), coalesce(max(position), 0) FROM events_outbox WHERE published_seq IS NULL AND ($1 = 0 OR position <= $1)`
		var newest int64
		if err := rt.DB.QueryRow(ctx, query, last).Scan(&left, &newest); err != nil || left == 0 || !rt.conn.IsConnected() {
			break
		}
		if last == 0 {
			last = newest
		}
		select {
		case <-look.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	if left > 0 {
		rt.Logger.WarnContext(ctx, "events stay in the outbox until the next start, or another replica, publishes them", "events", left)
	}
}

// bounded runs fn, and leaves it when it does not return within limit.
func bounded(limit time.Duration, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return nil
	}
}

func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return ended(done)
	}
}

func ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// flush sends the last traces.
func flush(ctx context.Context, tel *telemetry.Telemetry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	if err := tel.Shutdown(ctx); err != nil {
		tel.Logger.WarnContext(ctx, "the last traces or metrics were not delivered", "error", err)
	}
}

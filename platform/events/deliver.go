package events

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/sqldb"
)

// Meta is what travels beside the payload of an event.
type Meta struct {
	ID       string    // UUID; the same in every copy
	Source   string    // the service that emitted it
	Stream   string    // the stream it came by
	Subject  string    // "sync.v1.client_archived"
	Firm     string    // id of the firm, or empty
	Entity   string    // what it happened to
	Sequence int64     // of the entity, see Newer; 0 when there is no order
	Time     time.Time // when it was recorded, by the emitter's database
}

// incoming is an event that was delivered, by the bus or out of events_parked.
type incoming struct {
	Meta
	trace    string
	payload  []byte
	attempts int // failed so far
}

// Later returns an error for handlers that can not handle an event yet, because something else must happen first. The
// event is tried again after wait, as often as needed; that does not count as a failed attempt.
func Later(wait time.Duration) error { return &laterError{wait} }

type laterError struct{ wait time.Duration }

func (e *laterError) Error() string { return fmt.Sprintf("events: not yet, again in %s", e.wait) }

// Failure gives a handler's error words that operators may read beside the parked event. reason must not quote the
// payload. Other errors are shown by their type only.
func Failure(reason string, err error) error { return &failure{reason, err} }

type failure struct {
	reason string
	err    error
}

func (f *failure) Error() string {
	if f.err == nil {
		return f.reason
	}
	return f.reason + ": " + f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

var (
	errUndecodable = errors.New("events: the payload does not decode")
	errDone        = errors.New("events: took effect before, or was put aside")
)

// deliver handles a message of the bus. It returns 0 when the bus may forget it, else when it should come again.
func (c *Consumer) deliver(ctx context.Context, msg jetstream.Msg) time.Duration {
	in, deliveries := read(msg)
	outcome := "done"
	var again time.Duration
	switch err := c.take(ctx, in); {
	case err == nil:
	case errors.Is(err, errDone):
		outcome = "duplicate"
	case errors.Is(err, errUnknown):
		outcome, again = "unknown", c.unknown(in, deliveries)
	case transient(err) && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		outcome, again = "again", quickly(deliveries)
		c.opt.Log.Warn("an event could not be handled now", "id", in.ID, "subject", in.Subject, "error", err)
	default: // a handler that used up its time is a failed attempt as well
		outcome = "aside"
		aside, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opt.HandlerTimeout)
		defer cancel()
		if err := c.putAside(aside, in, err); err != nil {
			outcome, again = "again", quickly(deliveries)
			c.opt.Log.Warn("an event could not be put aside", "id", in.ID, "subject", in.Subject, "error", err)
		}
	}
	c.handled.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome), attribute.String("subject", in.Subject)))
	return again
}

// read takes a message apart. Whoever publishes past the relay may leave headers out; such a message is told apart by
// its place in the stream.
func read(msg jetstream.Msg) (in *incoming, deliveries uint64) {
	h := msg.Headers()
	in = &incoming{trace: h.Get(headerTrace), payload: msg.Data(), Meta: Meta{
		ID: h.Get(jetstream.MsgIDHeader), Source: h.Get(headerSource), Subject: msg.Subject(),
		Firm: h.Get(headerFirm), Entity: h.Get(headerEntity),
	}}
	in.Sequence, _ = strconv.ParseInt(h.Get(headerSequence), 10, 64)
	us, _ := strconv.ParseInt(h.Get(headerTime), 10, 64)
	in.Time = sqldb.FromMicros(us)
	if s, ok := topology.StreamOf(in.Subject); ok {
		in.Stream = s.Name
	}
	if meta, err := msg.Metadata(); err == nil {
		deliveries = meta.NumDelivered
		if in.ID == "" {
			in.ID = fmt.Sprintf("%s/%d", meta.Stream, meta.Sequence.Stream)
		}
	}
	return in, deliveries
}

var errUnknown = errors.New("events: no handler")

// take runs the handler and notes in the inbox, in one transaction, that the event took effect.
func (c *Consumer) take(ctx context.Context, in *incoming) error {
	h := c.handlers[in.Subject]
	if h == nil {
		return errUnknown
	}
	ctx, span := c.opt.Tracer.Start(remote(ctx, in.trace), "handle "+in.Subject, trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	return c.db.Tx(ctx, func(tx *sqldb.Tx) error {
		var aside bool
		err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM events_parked WHERE consumer = $1 AND event_id = $2)`,
			c.service, in.ID).Scan(&aside)
		if err != nil {
			return err
		}
		if aside {
			return errDone
		}
		if first, err := c.note(tx, in.ID); err != nil || !first {
			return errors.Join(err, errDone)
		}
		return guarded(h, ctx, tx, in)
	})
}

// note writes the event into the inbox and reports whether it was not there.
func (c *Consumer) note(tx *sqldb.Tx, id string) (first bool, err error) {
	n, err := tx.Exec(`INSERT INTO events_inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, c.service, id)
	return n == 1, err
}

// guarded calls the handler; a panic is a failure of this event, not of the process.
func guarded(h handler, ctx context.Context, tx *sqldb.Tx, in *incoming) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Failure("the handler panicked", fmt.Errorf("panic of type %T", p))
		}
	}()
	return h(ctx, tx, in.Meta, in.payload)
}

func remote(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{headerTrace: traceparent})
}

// transient reports whether err says something about the moment and nothing about the event.
func transient(err error) bool {
	for _, t := range []error{sqldb.ErrBusy, sqldb.ErrOutcomeUnknown, sqldb.ErrDiskFull, sqldb.ErrReadOnly,
		context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// quickly spaces deliveries while the database is away: 0.25, 0.5, 1 ... 16 seconds.
func quickly(deliveries uint64) time.Duration {
	return 250 * time.Millisecond << min(deliveries, 6)
}

// unknownWait and unknownTries give an event that this release does not know to a newer replica, for as long as a
// rolling update takes: ten minutes. After that it is an event whose handler was removed.
const (
	unknownWait  = 10 * time.Second
	unknownTries = 60
)

func (c *Consumer) unknown(in *incoming, deliveries uint64) time.Duration {
	if deliveries < unknownTries {
		return unknownWait
	}
	c.opt.Log.Info("an event without a handler is left", "id", in.ID, "subject", in.Subject)
	return 0
}

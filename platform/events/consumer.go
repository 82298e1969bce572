package events

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/sqldb"
)

// ConsumerOptions changes how a Consumer works. The zero value is right for production.
type ConsumerOptions struct {
	Replicas       int              // of streams that the consumer has to make; 0 means 1, Prepared that it makes none
	Workers        int              // handlers at a time; events of one entity go to one worker; 0 means 4
	MaxPending     int              // events delivered and not yet handled, by all replicas; 0 means 128
	AckWait        time.Duration    // after which the bus gives an event of a dead replica to another; 0 means 2 s
	HandlerTimeout time.Duration    // of one handler; 0 means 30 s
	Backoff        []time.Duration  // before the second, third, ... attempt; after the last the event is parked; nil means 1 s to 1 h
	RetryPoll      time.Duration    // how often to look for events whose time has come; 0 means 1 s
	Now            func() time.Time // nil means time.Now
	Log            *slog.Logger     // nil means nowhere
	Meter          metric.Meter     // nil means nowhere
	Tracer         trace.Tracer     // nil means nowhere
}

// defaultAckWait is short, because an answer that is lost with a server or a replica holds up what can be proven about
// freshness (Lag) for so long, and callers refuse after a few seconds. Events that wait in a queue or are being handled are
// held by beats in between, see crew.
const defaultAckWait = 2 * time.Second

// defaultBackoff spreads seven attempts over two hours: a bug in a handler is not fixed sooner, and what only collided
// is done in seconds.
var defaultBackoff = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}

// Consumer hands the events of the streams to the handlers of one service. Any number of replicas may run one.
type Consumer struct {
	db      *sqldb.DB
	js      jetstream.JetStream
	service string
	opt     ConsumerOptions

	handlers map[string]handler // by subject
	horizons map[string]*horizon
	mistake  error
	said     told
	seed     maphash.Seed
	handled  metric.Int64Counter
	parked   metric.Int64Counter
}

// handler is a typed handler with its type taken off.
type handler func(ctx context.Context, tx *sqldb.Tx, m Meta, payload []byte) error

// NewConsumer returns a consumer for a service, which is the name under which the bus and the inbox remember what was
// handled; it never changes. Handlers are added by Handle before Run.
func NewConsumer(db *sqldb.DB, js jetstream.JetStream, service string, opt ConsumerOptions) *Consumer {
	opt.Workers = orElse(opt.Workers, 4)
	opt.MaxPending = orElse(opt.MaxPending, 128)
	opt.AckWait = orElse(opt.AckWait, defaultAckWait)
	opt.HandlerTimeout = orElse(opt.HandlerTimeout, 30*time.Second)
	opt.RetryPoll = orElse(opt.RetryPoll, time.Second)
	if opt.Backoff == nil {
		opt.Backoff = defaultBackoff
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Meter == nil {
		opt.Meter = noop.NewMeterProvider().Meter("")
	}
	if opt.Tracer == nil {
		opt.Tracer = tracenoop.NewTracerProvider().Tracer("")
	}
	opt.Log = opt.Log.With("part", "consumer", "consumer", service)
	return &Consumer{db: db, js: js, service: service, opt: opt, seed: maphash.MakeSeed(),
		handlers: map[string]handler{}, horizons: map[string]*horizon{},
		handled: counter(opt.Meter, "concord.events.handled", "Events taken from the bus, by outcome."),
		parked:  counter(opt.Meter, "concord.events.parked", "Events that failed for good and wait for a decision."),
	}
}

func orElse[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Handle makes fn the handler of the events of type T. fn runs in a transaction that is committed together with the
// note that the event took effect; an error undoes both. It may run again, on another replica as well, until that is
// done. It does nothing but read and write through tx.
//
// An error counts as a failed attempt, except Later, what the database says about itself (sqldb.ErrBusy and the like),
// and the end of a context. Handlers are added before Run; a type without the event option, with two handlers, or of a stream
// that the service is not declared to follow (package topology) makes Run fail.
func Handle[T proto.Message](c *Consumer, fn func(ctx context.Context, tx *sqldb.Tx, m Meta, event T) error) {
	var none T
	typ := none.ProtoReflect().Type()
	subject, err := subjectOf(typ.Descriptor())
	if err == nil && c.handlers[subject] != nil {
		err = fmt.Errorf("events: %s has two handlers", subject)
	}
	stream, ok := topology.StreamOf(subject)
	if err == nil && !ok {
		err = fmt.Errorf("events: no stream takes the subject %s", subject)
	}
	if err == nil {
		err = topology.MayFollow(c.service, stream.Name)
	}
	if err != nil {
		c.mistake = errors.Join(c.mistake, err)
		return
	}
	if c.horizons[stream.Name] == nil {
		c.horizons[stream.Name] = &horizon{}
	}
	c.handlers[subject] = func(ctx context.Context, tx *sqldb.Tx, m Meta, payload []byte) error {
		event := typ.New().Interface().(T)
		if err := proto.Unmarshal(payload, event); err != nil {
			return errUndecodable
		}
		return fn(ctx, tx, m, event)
	}
}

// Run handles events until ctx ends and returns nil then; what is being handled is finished, within HandlerTimeout.
// What goes wrong meanwhile is logged and tried again. It fails at once when a handler was added wrongly.
func (c *Consumer) Run(ctx context.Context) error {
	if c.mistake != nil {
		return c.mistake
	}
	var wg sync.WaitGroup
	for stream, h := range c.horizons {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := c.follow(ctx, stream, h); err != nil && ctx.Err() == nil && c.said.anew(stream+": "+err.Error()) {
					c.opt.Log.Warn("following the stream stopped and will be tried again", "stream", stream, "error", err)
				}
				sleep(ctx, followRetry)
			}
		})
	}
	wg.Go(func() { c.keepHouse(ctx) })
	wg.Wait()
	return nil
}

// followRetry is how long to wait before following a stream is tried again.
const followRetry = 250 * time.Millisecond

const (
	// askWait bounds one question to the bus. Servers that are choosing a leader answer none, also later; it is asked again.
	askWait = 2 * time.Second
	// subscribeWait bounds the questions and the change of a subscription, which several servers agree on.
	subscribeWait = 5 * time.Second
)

// subscribe makes or adapts the consumer of this service on the stream.
func (c *Consumer) subscribe(ctx context.Context, name string) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, subscribeWait)
	defer cancel()
	known, _ := topology.StreamNamed(name)
	stream, err := openStream(ctx, c.js, known, c.opt.Replicas)
	if err != nil {
		return nil, err
	}
	var subjects []string
	for subject := range c.handlers {
		if s, _ := topology.StreamOf(subject); s.Name == name {
			subjects = append(subjects, subject)
		}
	}
	wanted := jetstream.ConsumerConfig{
		Durable:        c.service,
		DeliverPolicy:  jetstream.DeliverAllPolicy, // a consumer that was lost starts over; the inbox knows what is done
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        c.opt.AckWait,
		MaxDeliver:     -1, // after a last delivery the bus would drop the event without a word
		MaxAckPending:  c.opt.MaxPending,
		FilterSubjects: subjects,
	}
	// A replica of the previous release must not take away what the next one has subscribed to meanwhile. What it is
	// then given and does not know it gives back; see unknown.
	old, err := stream.Consumer(ctx, c.service)
	if err == nil {
		wanted.FilterSubjects = append(subjects, old.CachedInfo().Config.FilterSubjects...)
	} else if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	slices.Sort(wanted.FilterSubjects)
	wanted.FilterSubjects = slices.Compact(wanted.FilterSubjects)
	// Only a change needs the servers to agree, which they may not while one of them is restarted.
	if err == nil && same(old.CachedInfo().Config, wanted) {
		return old, nil
	}
	return stream.CreateOrUpdateConsumer(ctx, wanted)
}

// same reports whether a consumer has what this package decides about it.
func same(has, wanted jetstream.ConsumerConfig) bool {
	slices.Sort(has.FilterSubjects)
	return has.DeliverPolicy == wanted.DeliverPolicy && has.AckPolicy == wanted.AckPolicy && has.AckWait == wanted.AckWait &&
		has.MaxDeliver == wanted.MaxDeliver && has.MaxAckPending == wanted.MaxAckPending && has.DeliverSubject == "" &&
		slices.Equal(has.FilterSubjects, wanted.FilterSubjects)
}

// heartbeat is how often the bus says that it still has a request for events; after two that did not come the stream is
// followed anew, which changes nothing there. Longer, and data are taken for old before that is done (Lag): a server that
// leaves takes the requests with it.
const heartbeat = time.Second

// follow takes events from the stream until ctx ends or the bus goes away.
func (c *Consumer) follow(ctx context.Context, stream string, h *horizon) error {
	session, end := whileConnected(ctx, c.js.Conn())
	defer end()
	if ctx.Err() != nil {
		return nil
	}
	cons, err := c.subscribe(session, stream)
	if err != nil {
		return err
	}
	messages, err := cons.Messages(jetstream.PullMaxMessages(32), jetstream.PullExpiry(5*time.Second),
		jetstream.PullHeartbeat(heartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer messages.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	wg.Go(func() { _ = c.listen(session, h, stream, cons) })
	crew := c.hire(ctx)
	defer crew.dismiss()
	for {
		msg, err := messages.Next(jetstream.NextContext(session))
		if err == nil {
			crew.give(msg)
			continue
		}
		giveBack(messages)
		if ctx.Err() != nil {
			return nil
		}
		return errors.Join(err, context.Cause(session))
	}
}

// giveBack returns what was fetched and not looked at, so that it need not be waited for.
func giveBack(messages jetstream.MessagesContext) {
	messages.Drain()
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(time.Second))
		if err != nil {
			return
		}
		_ = msg.Nak()
	}
}

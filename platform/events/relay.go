package events

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/sqldb"
)

// RelayOptions changes how a Relay works. The zero value is right for production.
type RelayOptions struct {
	Replicas   int              // of streams that the relay has to make; 0 means 1, Prepared that it makes none
	Batch      int              // rows published and marked together; 0 means 256
	Poll       time.Duration    // how often to look without being woken; 0 means 100 ms on PostgreSQL, 1 s on SQLite
	CheckEvery time.Duration    // how often to look whether the bus still has what it took; 0 means 30 s
	Retention  time.Duration    // of published rows; 0 means OutboxRetention
	Now        func() time.Time // 0 means time.Now
	Log        *slog.Logger     // nil means nowhere
	Meter      metric.Meter     // nil means nowhere
}

// Relay publishes the outbox of one service. Any number of replicas may run one: they agree by a lock who publishes, and
// when they are wrong about it (a frozen process that thaws), the bus and the inboxes recognise what comes twice.
type Relay struct {
	db     *sqldb.DB
	js     jetstream.JetStream
	source string
	opt    RelayOptions

	published, republished metric.Int64Counter
	streams                map[string]*streamState
	walk                   walk
	lastBeacon             time.Time
	said                   told
}

// NewRelay returns a relay for the outbox in db. source is the name of the service; it goes into every event.
func NewRelay(db *sqldb.DB, js jetstream.JetStream, source string, opt RelayOptions) *Relay {
	if opt.Batch <= 0 {
		opt.Batch = 256
	}
	if opt.Poll <= 0 {
		opt.Poll = time.Second // on SQLite only a command of an operator writes from another process
		if db.Dialect() == sqldb.Postgres {
			opt.Poll = 100 * time.Millisecond
		}
	}
	if opt.CheckEvery <= 0 {
		opt.CheckEvery = 30 * time.Second
	}
	if opt.Retention <= 0 {
		opt.Retention = OutboxRetention
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
	opt.Log = opt.Log.With("part", "relay", "source", source)
	r := &Relay{db: db, js: js, source: source, opt: opt}
	r.published = counter(opt.Meter, "concord.events.published", "Events given to the bus.")
	r.republished = counter(opt.Meter, "concord.events.republished", "Events that the bus had lost and was given again.")
	return r
}

// counter makes an instrument; a meter that refuses it must not stop the events.
func counter(m metric.Meter, name, about string) metric.Int64Counter {
	c, err := m.Int64Counter(name, metric.WithDescription(about))
	if err != nil {
		return noop.Int64Counter{}
	}
	return c
}

const (
	// followWait is how often a replica that does not publish asks whether it should.
	followWait = time.Second
	// leadWait is how long a replica that failed leaves the work to others before it tries again.
	leadWait = 500 * time.Millisecond
	// stepWait bounds one batch, comparison or purge.
	stepWait = 30 * time.Second
	// lockCheck is how often the holder shows that it is alive; a third of what the server allows.
	lockCheck = 5 * time.Second
	// purgeEvery is how often old rows are removed.
	purgeEvery = 10 * time.Minute
)

// Run publishes until ctx ends, then for a moment what is still there, and returns nil. What goes wrong meanwhile is logged and tried again. It fails at once
// when the source is a part of the suite that is not declared to emit (package topology).
func (r *Relay) Run(ctx context.Context) error {
	if p, ok := topology.PartNamed(r.source); ok && len(p.Emits) == 0 {
		return fmt.Errorf("events: %s is not declared to emit events: declare it in platform/events/topology", r.source)
	}
	pub, err := newPublisher(r.js)
	if err != nil {
		return err
	}
	defer pub.js.CleanupPublisher()
	for ctx.Err() == nil {
		wait, err := r.turn(ctx, pub)
		if err != nil && ctx.Err() == nil && r.said.anew(err.Error()) {
			r.opt.Log.Warn("publishing stopped and will be tried again", "error", err)
		}
		sleep(ctx, wait)
	}
	if err := r.flush(context.WithoutCancel(ctx), pub); err != nil {
		r.opt.Log.Warn("the last events wait in the outbox for another process, or the next start", "error", err)
	}
	return nil
}

// flushWait bounds the publishing of what the last calls wrote before the process ends.
const flushWait = 1500 * time.Millisecond

// flush publishes what is left, if the bus is there and nobody else does it.
func (r *Relay) flush(ctx context.Context, pub *publisher) error {
	if !r.js.Conn().IsConnected() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	lock, err := r.db.TryLock(ctx, "events.relay/"+r.source)
	if lock == nil {
		return err
	}
	defer lock.Release()
	r.streams, r.walk = map[string]*streamState{}, walk{}
	for more := true; more && err == nil; {
		more, err = r.batch(ctx, pub)
	}
	return err
}

// turn publishes if nobody else does, for as long as the bus is there, and says when to try again. A replica without a
// bus leaves the work to others.
func (r *Relay) turn(ctx context.Context, pub *publisher) (wait time.Duration, err error) {
	ctx, end := whileConnected(ctx, r.js.Conn())
	defer end()
	if ctx.Err() != nil {
		return 0, nil
	}
	lock, err := r.db.TryLock(ctx, "events.relay/"+r.source)
	if lock == nil {
		return followWait, err
	}
	defer lock.Release()
	return leadWait, r.lead(ctx, lock, pub)
}

// lead publishes for as long as this replica holds the lock and nothing fails.
func (r *Relay) lead(ctx context.Context, lock *sqldb.Lock, pub *publisher) error {
	changed, stop := r.db.Watch(outboxTopic)
	defer stop()
	poll, alive := time.NewTicker(r.opt.Poll), time.NewTicker(lockCheck)
	check, purge := time.NewTicker(r.opt.CheckEvery), time.NewTicker(purgeEvery)
	for _, t := range []*time.Ticker{poll, alive, check, purge} {
		defer t.Stop()
	}
	r.streams, r.walk = map[string]*streamState{}, walk{}
	err := r.step(ctx, r.Purge)
	if err == nil {
		err = r.step(ctx, r.compare)
	}
	for err == nil {
		var more bool
		err = r.step(ctx, func(ctx context.Context) (err error) { more, err = r.batch(ctx, pub); return err })
		if err != nil {
			return err
		}
		var next <-chan struct{}
		if more {
			next = closed
		}
		select {
		case <-next:
		case <-changed:
		case <-poll.C:
		case <-alive.C:
			err = r.step(ctx, lock.Check)
		case <-check.C:
			err = r.step(ctx, r.compare)
		case <-purge.C:
			err = r.step(ctx, r.Purge)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

// closed is always ready to receive from.
var closed = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// step runs fn within stepWait, so that a frozen database or bus makes the relay let go of the lock.
func (r *Relay) step(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	return fn(ctx)
}

// Lag returns the age of the oldest committed event that is not published yet, 0 when there is none, by the database's
// clock.
func (r *Relay) Lag(ctx context.Context) (time.Duration, error) {
	var us int64
	err := r.db.QueryRow(ctx, `SELECT coalesce(`+r.db.Dialect().NowMicros()+` - min(created_at), 0)
		FROM events_outbox WHERE published_seq IS NULL`).Scan(&us)
	if err != nil {
		return 0, err
	}
	return time.Duration(us) * time.Microsecond, nil
}

// Observe makes metrics of what waits in db: how many events are not published yet and how old the oldest is, and how many
// were put aside, by state. A meter that refuses them, or a database that does not answer, must not stop the events.
func Observe(db *sqldb.DB, meter metric.Meter) {
	backlog, err1 := meter.Int64ObservableGauge("concord.events.outbox.backlog", metric.WithDescription("Events that are not published yet."))
	oldest, err2 := meter.Float64ObservableGauge("concord.events.outbox.oldest", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest event that is not published yet."))
	aside, err3 := meter.Int64ObservableGauge("concord.events.aside", metric.WithDescription("Events that were put aside, by state."))
	if err1 != nil || err2 != nil || err3 != nil {
		return
	}
	_, _ = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, observeWait)
		defer cancel()
		var waiting, us int64
		if err := db.QueryRow(ctx, `SELECT count(*), coalesce(`+db.Dialect().NowMicros()+` - min(created_at), 0)
			FROM events_outbox WHERE published_seq IS NULL`).Scan(&waiting, &us); err != nil {
			return nil // others say that the database is away
		}
		o.ObserveInt64(backlog, waiting)
		o.ObserveFloat64(oldest, float64(us)/1e6)
		for _, state := range []string{"WAITING", "PARKED"} {
			var n int64
			if err := db.QueryRow(ctx, `SELECT count(*) FROM events_parked WHERE state = $1`, state).Scan(&n); err != nil {
				return nil
			}
			o.ObserveInt64(aside, n, metric.WithAttributes(attribute.String("state", state)))
		}
		return nil
	}, backlog, oldest, aside)
}

// observeWait bounds what a metric may ask of the database.
const observeWait = time.Second

// sleep waits d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

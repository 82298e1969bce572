package events

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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

// Relay publishes the outbox of one service. Any number of replicas may run one: they agree by a lock for each stream who
// publishes, and when they are wrong about it (a frozen process that thaws), the bus and the inboxes recognise what comes
// twice.
type Relay struct {
	db     *sqldb.DB
	js     jetstream.JetStream
	source string
	opt    RelayOptions

	published, republished metric.Int64Counter
	said                   told
}

// lane publishes what goes to one stream, by itself: a stream that has no leader, is full or takes its time delays the
// events of no other.
type lane struct {
	*Relay
	known Stream
	pub   *publisher

	state      *streamState // nil until the stream was looked at
	reading    reading
	walk       walk
	lastBeacon time.Time
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

// Run publishes until ctx ends, then for a moment what is still there, and returns nil. What goes wrong meanwhile is
// logged and tried again. It fails at once when the source is a part of the suite that is not declared to emit (package
// topology).
func (r *Relay) Run(ctx context.Context) error {
	if p, ok := topology.PartNamed(r.source); ok && len(p.Emits) == 0 {
		return fmt.Errorf("events: %s is not declared to emit events: declare it in platform/events/topology", r.source)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, known := range Streams() {
		if topology.MayEmit(r.source, known.Name) != nil {
			continue
		}
		pub, err := newPublisher(r.js, r.opt)
		if err != nil {
			return err
		}
		l := &lane{Relay: r, known: known, pub: pub}
		wg.Go(func() { l.run(ctx) })
	}
	r.keepHouse(ctx)
	return nil
}

// keepHouse removes old rows, one replica at a time, and looks for events that nobody will publish, until ctx ends.
func (r *Relay) keepHouse(ctx context.Context) {
	check, old := time.NewTicker(r.opt.CheckEvery), time.NewTicker(purgeEvery)
	defer check.Stop()
	defer old.Stop()
	err := r.purgeAlone(ctx)
	for ctx.Err() == nil {
		if err == nil {
			err = r.undeclared(ctx)
		}
		if err != nil && ctx.Err() == nil && r.said.anew(err.Error()) {
			r.opt.Log.Warn("the outbox could not be looked after", "error", err)
		}
		err = nil
		select {
		case <-check.C:
		case <-old.C:
			err = r.purgeAlone(ctx)
		case <-ctx.Done():
		}
	}
}

func (r *Relay) purgeAlone(ctx context.Context) error {
	return step(ctx, func(ctx context.Context) error {
		lock, err := r.db.TryLock(ctx, "events.purge/"+r.source)
		if lock == nil {
			return err
		}
		defer lock.Release()
		return r.Purge(ctx)
	})
}

// undeclared says so when events wait for a stream that the source is not declared to fill.
func (r *Relay) undeclared(ctx context.Context) error {
	for _, known := range Streams() {
		wrong := topology.MayEmit(r.source, known.Name)
		if wrong == nil {
			continue
		}
		waiting, err := r.waiting(ctx, known.Name)
		if err != nil {
			return err
		}
		if waiting && r.said.anew(wrong.Error()) {
			r.opt.Log.Warn("events wait in the outbox", "stream", known.Name, "error", wrong)
		}
	}
	return nil
}

// waiting reports whether events for a stream are not published yet.
func (r *Relay) waiting(ctx context.Context, stream string) (some bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	return some, r.db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM events_outbox WHERE published_seq IS NULL AND stream = $1)`,
		stream).Scan(&some)
}

// run takes turns at publishing until ctx ends, then publishes for a moment what is left.
func (l *lane) run(ctx context.Context) {
	defer l.pub.js.CleanupPublisher()
	for ctx.Err() == nil {
		wait, err := l.turn(ctx)
		if text := fmt.Sprint(l.known.Name, ": ", err); err != nil && ctx.Err() == nil && l.said.anew(text) {
			l.opt.Log.Warn("publishing stopped and will be tried again", "stream", l.known.Name, "error", err)
		}
		sleep(ctx, wait)
	}
	if err := l.flush(context.WithoutCancel(ctx)); err != nil {
		l.opt.Log.Warn("the last events wait in the outbox for another process, or the next start", "stream", l.known.Name, "error", err)
	}
}

// flushWait bounds the publishing of what the last calls wrote before the process ends.
const flushWait = 1500 * time.Millisecond

// lockRetry is how often flush asks whether it may publish. A server may learn only a moment later that a lock was given up.
const lockRetry = 20 * time.Millisecond

// flush publishes what is left, if the bus is there and nobody else does it.
func (l *lane) flush(ctx context.Context) error {
	if !l.js.Conn().IsConnected() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	lock, err := l.lockWhileWaiting(ctx)
	if lock == nil {
		return err
	}
	defer lock.Release()
	l.begin()
	for more := true; more && err == nil; {
		more, err = l.batch(ctx)
	}
	return err
}

// lockWhileWaiting takes the lock as soon as it is free. It returns none when no event waits any more.
func (l *lane) lockWhileWaiting(ctx context.Context) (*sqldb.Lock, error) {
	for {
		some, err := l.waiting(ctx, l.known.Name)
		if err != nil || !some {
			return nil, err
		}
		if lock, err := l.lock(ctx); lock != nil || err != nil {
			return lock, err
		}
		sleep(ctx, lockRetry)
	}
}

// lock says who publishes to the stream.
func (l *lane) lock(ctx context.Context) (*sqldb.Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	return l.db.TryLock(ctx, "events.relay/"+l.source+"/"+l.known.Name)
}

// begin forgets what was known about the stream and the way there.
func (l *lane) begin() { l.state, l.walk, l.pub.pace = nil, walk{}, pace{window: paceStart} }

// turn publishes if nobody else does, for as long as the bus is there, and says when to try again. A replica without a
// bus leaves the work to others.
func (l *lane) turn(ctx context.Context) (wait time.Duration, err error) {
	ctx, end := whileConnected(ctx, l.js.Conn())
	defer end()
	if ctx.Err() != nil {
		return 0, nil
	}
	lock, err := l.lock(ctx)
	if lock == nil {
		return followWait, err
	}
	defer lock.Release()
	return leadWait, l.lead(ctx, lock)
}

// lead publishes for as long as this replica holds the lock and nothing fails.
func (l *lane) lead(ctx context.Context, lock *sqldb.Lock) error {
	changed, stop := l.db.Watch(outboxTopic)
	defer stop()
	poll, alive, check := time.NewTicker(l.opt.Poll), time.NewTicker(lockCheck), time.NewTicker(l.opt.CheckEvery)
	for _, t := range []*time.Ticker{poll, alive, check} {
		defer t.Stop()
	}
	l.begin()
	err := step(ctx, l.compare)
	for err == nil {
		var more bool
		err = step(ctx, func(ctx context.Context) (err error) { more, err = l.batch(ctx); return err })
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
			err = step(ctx, lock.Check)
		case <-check.C:
			err = step(ctx, l.compare)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

// closed is always ready to receive from.
var closed = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// step runs fn within stepWait, so that a frozen database or bus makes the relay let go of the lock.
func step(ctx context.Context, fn func(context.Context) error) error {
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

// sleep waits d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

package events

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Parked is an event that was put aside, without its payload: who runs an installation sees no firm's data.
type Parked struct {
	Consumer, ID, State, Reason   string
	Source, Subject, Firm, Entity string
	Sequence                      int64
	Attempts                      int       // that failed
	Time                          time.Time // of the event
	Due                           time.Time // of the next attempt, when WAITING
	Changed                       time.Time // of the state
	DecidedBy, DecidedReason      string    // who retried or discarded it last, and why
}

// ErrNotParked says that no such event waits for a decision.
var ErrNotParked = errors.New("events: no such event is put aside")

// ListParked returns up to limit events that were put aside, of one consumer or (empty) all, in the given state or
// (empty) any, oldest id first. after is the id of the last one of the previous page.
func ListParked(ctx context.Context, db *sqldb.DB, consumer, state, after string, limit int) (all []Parked, err error) {
	err = db.Read(ctx, func(tx *sqldb.Tx) error {
		all, err = sqldb.Collect(tx, func(r *sqldb.Rows) (p Parked, err error) {
			var at, due, changed int64
			err = r.Scan(&p.Consumer, &p.ID, &p.State, &p.Reason, &p.Source, &p.Subject, &p.Firm, &p.Entity, &p.Sequence,
				&p.Attempts, &at, &due, &changed, &p.DecidedBy, &p.DecidedReason)
			p.Time, p.Due, p.Changed = sqldb.FromMicros(at), sqldb.FromMicros(due), sqldb.FromMicros(changed)
			return p, err
		}, `SELECT consumer, event_id, state, reason, source, subject, firm, entity, sequence, attempts, event_time, due_at,
			changed_at, decided_by, decided_reason FROM events_parked
			WHERE ($1 = '' OR consumer = $1) AND ($2 = '' OR state = $2) AND event_id > $3 ORDER BY event_id, consumer LIMIT $4`,
			consumer, state, after, limit)
		return err
	})
	return all, err
}

// Retry makes a parked or waiting event due now; the consumer tries it within RetryPoll. who is the id of the person,
// why their words. ErrNotParked when it is not put aside, or was discarded.
func Retry(ctx context.Context, db *sqldb.DB, consumer, id, who, why string) error {
	return decide(ctx, db, `UPDATE events_parked SET state = 'WAITING', due_at = `+db.Dialect().NowMicros()+`,
		changed_at = `+db.Dialect().NowMicros()+`, decided_by = $3, decided_reason = $4
		WHERE consumer = $1 AND event_id = $2 AND state <> 'DISCARDED'`, consumer, id, who, why)
}

// Discard ends the attempts at an event for good. Its payload is removed; that it existed, who discarded it and why
// stays for InboxRetention. ErrNotParked when it is not put aside, or was discarded before.
func Discard(ctx context.Context, db *sqldb.DB, consumer, id, who, why string) error {
	return decide(ctx, db, `UPDATE events_parked SET state = 'DISCARDED', payload = $5,
		changed_at = `+db.Dialect().NowMicros()+`, decided_by = $3, decided_reason = $4
		WHERE consumer = $1 AND event_id = $2 AND state <> 'DISCARDED'`, consumer, id, who, why, []byte{})
}

func decide(ctx context.Context, db *sqldb.DB, statement string, args ...any) error {
	return db.Tx(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(statement, args...)
		if err == nil && n == 0 {
			return ErrNotParked
		}
		tx.Notify(asideTopic)
		return err
	})
}

// Newer reports whether sequence is above everything Newer was asked about key so far, and remembers it. A handler for
// which the order of an entity's events matters asks it first and does nothing when it says no. key names the consumer's
// view of the entity, "documents/client/<uuid>" for example; two handlers with different effects use different keys.
func Newer(tx *sqldb.Tx, key string, sequence int64) (bool, error) {
	n, err := tx.Exec(`INSERT INTO events_sequences (entity, sequence) VALUES ($1, $2)
		ON CONFLICT (entity) DO UPDATE SET sequence = excluded.sequence WHERE events_sequences.sequence < excluded.sequence`,
		key, sequence)
	return n == 1, err
}

// Purge removes rows that were published and are older than the retention. Run does it at the start and every ten
// minutes.
func (r *Relay) Purge(ctx context.Context) error {
	cutoff := sqldb.Micros(r.opt.Now().Add(-r.opt.Retention))
	// Rows lie in the order of their age but for seconds, so that the oldest thousand say whether there is work.
	return purge(ctx, r.db, `DELETE FROM events_outbox WHERE position IN (SELECT position FROM (
		SELECT position, created_at, published_seq FROM events_outbox ORDER BY position LIMIT 1000) AS oldest
		WHERE created_at < $1 AND published_seq IS NOT NULL)`, cutoff)
}

// Purge forgets what took effect, or was decided about, longer ago than InboxRetention. Run does it every ten minutes.
// Events that wait for a decision stay.
func (c *Consumer) Purge(ctx context.Context) error {
	cutoff := sqldb.Micros(c.opt.Now().Add(-InboxRetention))
	err := purge(ctx, c.db, `DELETE FROM events_inbox WHERE (consumer, event_id) IN (
		SELECT consumer, event_id FROM events_inbox WHERE received_at < $1 ORDER BY received_at LIMIT 1000)`, cutoff)
	if err != nil {
		return err
	}
	return purge(ctx, c.db, `DELETE FROM events_parked WHERE (consumer, event_id) IN (
		SELECT consumer, event_id FROM events_parked WHERE changed_at < $1 AND state IN ('DISCARDED', 'FAILING') LIMIT 1000)`, cutoff)
}

// purge repeats a DELETE that takes a bounded number of rows until it finds none, so that no transaction is long.
func purge(ctx context.Context, db *sqldb.DB, statement string, args ...any) error {
	for {
		var n int64
		err := db.Tx(ctx, func(tx *sqldb.Tx) (err error) {
			n, err = tx.Exec(statement, args...)
			return err
		}, sqldb.ReadCommitted)
		if err != nil || n == 0 {
			return err
		}
	}
}

// Told is an event that was emitted here, as the outbox has it.
type Told struct {
	Subject  string
	Sequence int64
	Message  proto.Message
}

// ToldOf reads what was told about an entity of a firm after a sequence, in the order of sequences, at most limit: for a
// reader that misses something and asks. It goes as far back as OutboxRetention. It looks through the whole outbox, so it
// is for the rare case, not for following an entity.
func ToldOf(tx *sqldb.Tx, firm, entity string, after int64, limit int) ([]Told, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (t Told, err error) {
		var kind string
		var payload []byte
		if err := r.Scan(&t.Subject, &t.Sequence, &kind, &payload); err != nil {
			return t, err
		}
		known, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(kind))
		if err != nil {
			return t, err
		}
		t.Message = known.New().Interface()
		return t, proto.Unmarshal(payload, t.Message)
	}, `SELECT subject, sequence, type, payload FROM events_outbox WHERE firm = $1 AND entity = $2 AND sequence > $3
		ORDER BY sequence, position LIMIT $4`, firm, entity, after, limit)
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

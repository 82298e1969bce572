// Package events carries what happened in one service to the others, so that nothing is lost and nothing takes effect
// twice, whoever dies at whatever moment.
//
// # How
//
// The emitter writes an event into its outbox table in the transaction of the change (Add). A Relay publishes the
// outbox to NATS JetStream and marks where the stream has each event. A Consumer reads the stream and runs a handler in
// a transaction that also writes the event's id into the inbox table: a second delivery finds the id and does nothing.
//
//	err := events.Add(tx, events.Event{Firm: firm, Entity: client, Sequence: version, Message: archived})
//
//	c := events.NewConsumer(db, js, "documents", events.ConsumerOptions{})
//	events.Handle(c, func(ctx context.Context, tx *sqldb.Tx, m events.Meta, e *synceventsv1.ClientArchived) error { ... })
//	err = c.Run(ctx)
//
// The tables come with Schema, which a service joins with its own migrations:
//
//	var Migrations = sqldb.Join(events.Schema, own)
//
// # Why this way
//
//   - The outbox is the record and JetStream a copy. JetStream has lost messages that it had acknowledged (power
//     failures, damaged blocks, changed clusters), and so the outbox keeps its rows for longer than anybody needs them.
//     The relay remembers for each row which stream has it where, looks whether that is still so, and publishes again
//     what is gone. A broker that forgets costs time, not events.
//   - Unpublished rows are found by a mark on the row, not by a position that was read up to. Transactions commit in
//     another order than they took their positions in; a reader that moves a position forward skips the late ones.
//     It also means that a long transaction holds up nobody else's events.
//   - Each stream is published by itself, and given what it confirms in time (pace). One that has no leader, is full or is
//     slow delays the events of no other, and a slow one is not drowned in what it did not confirm yet.
//   - JetStream drops what it has already seen within 20 minutes (Nats-Msg-Id is the event's id). A relay that died
//     between publishing and marking may take longer. The inbox has no such limit, within its retention.
//   - Events of one entity are published in order, but what a handler fails at is not waited for and a republished one
//     comes late.
//     Handlers for which that matters ask Newer, which compares the entity's sequence, and skip what is older.
//
// # What it does not do
//
// It promises no order between entities, no latency, and no handler the chance to call other services: handlers run in
// a transaction. It does not carry large things: a payload has 512 KiB at most and should have one or two.
package events

import (
	"context"
	"embed"
	"fmt"
	"iter"
	"strings"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"

	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/sqldb"
)

//go:embed migrations
var files embed.FS

// Schema holds the migrations of the tables this package needs in the database of a service.
var Schema = sqldb.Named("events", files)

// Event is something that happened.
type Event struct {
	// Firm is the id of the firm it belongs to; empty for what happens outside every firm.
	Firm string
	// Entity is the id of what it happened to, "clients/<uuid>" for example. Events of one entity are published in
	// order. Empty for events that stand in no order.
	Entity string
	// Sequence counts the changes of the entity. Handlers use it to skip what is older than what they have. 0 when
	// there is no order.
	Sequence int64
	// Message is the payload. Its type carries the concord.options.v1.event option.
	Message proto.Message
}

// maxPayload bounds an event. The bus takes 1 MiB with headers; an event that reached the outbox but not the bus would
// be stuck.
const maxPayload = 512 << 10

// Add records an event in the outbox, in tx. It is published once tx is committed and never when it is not. It returns
// the event's id. A message without the event option, a subject without a stream, or a payload above 512 KiB is refused.
func Add(tx *sqldb.Tx, e Event) (id string, err error) {
	row, err := e.row(traceparent(tx.Context()))
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(`INSERT INTO events_outbox (id, stream, subject, type, firm, entity, sequence, traceparent, payload)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, row...)
	if err != nil {
		return "", err
	}
	tx.Notify(outboxTopic)
	return row[0].(string), nil
}

// AddAll is Add for many events, in their order and in one statement, or a few: a change of thousands of things need not
// ask the database thousands of times. Events are pulled one by one, so their number does not matter to memory. Nothing
// of them is published when one is refused, since the caller's transaction ends then. all must not use tx.
func AddAll(tx *sqldb.Tx, all iter.Seq[Event]) error {
	trace := traceparent(tx.Context())
	var refused error
	n, err := tx.CopyIn("events_outbox", outboxColumns, func(yield func([]any) bool) {
		for e := range all {
			var row []any
			if row, refused = e.row(trace); refused != nil || !yield(row) {
				return
			}
		}
	})
	if refused != nil {
		return refused
	}
	if err == nil && n > 0 {
		tx.Notify(outboxTopic)
	}
	return err
}

var outboxColumns = []string{"id", "stream", "subject", "type", "firm", "entity", "sequence", "traceparent", "payload"}

// row is the event as outboxColumns hold it, under a new id.
func (e Event) row(trace string) ([]any, error) {
	if e.Message == nil {
		return nil, fmt.Errorf("events: an event without a message")
	}
	descriptor := e.Message.ProtoReflect().Descriptor()
	subject, err := subjectOf(descriptor)
	if err != nil {
		return nil, err
	}
	stream, ok := topology.StreamOf(subject)
	if !ok {
		return nil, fmt.Errorf("events: no stream takes the subject %s", subject)
	}
	if !plain(e.Firm) || !plain(e.Entity) {
		return nil, fmt.Errorf("events: a firm or entity with control characters")
	}
	// Deterministic, so that the same change makes the same bytes and tests can compare them.
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(e.Message)
	if err != nil {
		return nil, fmt.Errorf("events: %s does not encode", subject)
	}
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("events: %s has %d bytes, %d are allowed", subject, len(payload), maxPayload)
	}
	key, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("events: making an id: %w", err)
	}
	return []any{key.String(), stream.Name, subject, string(descriptor.FullName()), e.Firm, e.Entity, e.Sequence, trace, payload}, nil
}

// outboxTopic is what a relay watches to hear of new rows at once.
const outboxTopic = "events.outbox"

// subjectOf returns the subject that stands in the message's option.
func subjectOf(d protoreflect.MessageDescriptor) (string, error) {
	option, ok := proto.GetExtension(d.Options(), optionsv1.E_Event).(*optionsv1.Event)
	if !ok || option.GetSubject() == "" {
		return "", fmt.Errorf("events: %s has no event option, so it has no subject", d.FullName())
	}
	return option.GetSubject(), nil
}

// plain reports whether s can stand in a header of the bus.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// traceparent returns the W3C trace context of ctx, or "".
func traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

package events

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-suite/concord/platform/sqldb"
)

// The headers of an event on the bus, besides Nats-Msg-Id, which is its id, and traceparent, which is W3C's.
const (
	headerType     = "Concord-Type" // full name of the message
	headerSource   = "Concord-Source"
	headerFirm     = "Concord-Firm"
	headerTime     = "Concord-Time" // microseconds
	headerEntity   = "Concord-Entity"
	headerSequence = "Concord-Sequence"
	headerTrace    = "traceparent"
)

// outRow is a row of the outbox on its way to the bus.
type outRow struct {
	position, sequence, created                   int64
	id, stream, subject, typ, firm, entity, trace string
	payload                                       []byte

	seq int64 // where the stream has it, 0 when it has it not
}

// walk is how far a pass over the unpublished rows has come. A pass goes on past rows that failed, so that one that the
// bus does not take holds up nobody; the next pass tries them again.
type walk struct {
	after   int64 // position
	started time.Time

	sent, failed int
	failure      error
	held         map[string]bool // streams that did not take every row
}

// hold notes the streams of the rows that are not taken.
func (w *walk) hold(rows []*outRow) {
	for _, row := range rows {
		if row.seq == 0 {
			if w.held == nil {
				w.held = map[string]bool{}
			}
			w.held[row.stream] = true
		}
	}
}

// batch publishes the next unpublished rows of the pass and marks them. more says that the pass is not over.
func (r *Relay) batch(ctx context.Context, pub *publisher) (more bool, err error) {
	if r.walk.after == 0 {
		r.walk.started = r.opt.Now()
	}
	rows, err := r.unpublished(ctx)
	if err != nil {
		return false, err
	}
	if len(rows) > 0 {
		r.walk.after = rows[len(rows)-1].position
		going, err := r.going(ctx, rows)
		if err != nil {
			return false, err
		}
		failure := pub.publish(ctx, r.source, going)
		n, err := r.mark(ctx, going)
		if err != nil {
			return false, err
		}
		r.walk.hold(rows)
		r.walk.sent += n
		r.walk.failed += len(going) - n
		if r.walk.failure == nil {
			r.walk.failure = failure
		}
	}
	if len(rows) == r.opt.Batch && ctx.Err() == nil {
		return true, nil
	}
	over := r.walk
	r.beacon(over.held)
	r.walk = walk{}
	if over.failed > 0 && over.sent == 0 {
		return false, over.failure // and the next turn begins with a look at the streams
	}
	if over.failed > 0 {
		r.opt.Log.Warn("the bus did not take every event", "published", over.sent, "left", over.failed, "error", over.failure)
	}
	return false, nil
}

// going returns the rows whose stream is there. Those of a stream that others have to make wait, and hold up nobody.
func (r *Relay) going(ctx context.Context, rows []*outRow) ([]*outRow, error) {
	waiting := map[string]bool{}
	for _, row := range rows {
		if _, asked := waiting[row.stream]; asked {
			continue
		}
		_, err := r.stream(ctx, row.stream)
		if waiting[row.stream] = r.waits(ctx, row.stream, err); err != nil && !waiting[row.stream] {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(rows), func(row *outRow) bool { return waiting[row.stream] }), nil
}

// unpublished reads the next rows of the pass.
func (r *Relay) unpublished(ctx context.Context) (rows []*outRow, err error) {
	if r.walk.after == 0 { // most of the time there is nothing, which takes one round trip to know
		var some bool
		err := r.db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM events_outbox WHERE published_seq IS NULL)`).Scan(&some)
		if err != nil || !some {
			return nil, err
		}
	}
	err = r.db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err = sqldb.Collect(tx, func(s *sqldb.Rows) (*outRow, error) {
			o := &outRow{}
			return o, s.Scan(&o.position, &o.id, &o.stream, &o.subject, &o.typ, &o.firm, &o.entity, &o.sequence,
				&o.trace, &o.payload, &o.created)
		}, `SELECT position, id, stream, subject, type, firm, entity, sequence, traceparent, payload, created_at
			FROM events_outbox WHERE published_seq IS NULL AND position > $1 ORDER BY position LIMIT $2`, r.walk.after, r.opt.Batch)
		return err
	})
	return rows, err
}

// mark notes in the outbox where the bus has the rows, and returns how many it has. It does so also when the bus went
// away in the meantime.
func (r *Relay) mark(ctx context.Context, rows []*outRow) (int, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markWait)
	defer cancel()
	var values strings.Builder
	var args []any
	for _, row := range rows {
		if row.seq == 0 {
			continue
		}
		if len(args) > 0 {
			values.WriteString(", ")
		}
		if n := len(args); r.db.Dialect() == sqldb.Postgres {
			fmt.Fprintf(&values, "(CAST($%d AS BIGINT), CAST($%d AS BIGINT), CAST($%d AS BIGINT))", n+1, n+2, n+3)
		} else {
			values.WriteString("(?, ?, ?)") // SQLite's driver takes the square of their number for parameters with names
		}
		args = append(args, row.position, row.seq, r.streams[row.stream].created)
		r.streams[row.stream].saw(row.seq)
	}
	if len(args) == 0 {
		return 0, nil
	}
	err := r.db.Tx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`UPDATE events_outbox SET published_seq = v.column2, stream_created = v.column3
			FROM (VALUES `+values.String()+`) AS v WHERE position = v.column1`, args...)
		return err
	}, sqldb.ReadCommitted)
	r.published.Add(ctx, int64(len(args)/3))
	return len(args) / 3, err
}

const (
	// publishWait is how long the bus has to confirm an event. A server that syncs every message to a slow disk takes some
	// milliseconds for each, times a batch. A confirmation that was lost with a server is not waited for longer: the event
	// is published again, and the bus knows it by its id.
	publishWait = 2 * time.Second
	// markWait bounds the note in the outbox.
	markWait = 10 * time.Second
)

// publisher gives rows to the bus.
type publisher struct{ js jetstream.JetStream }

// newPublisher makes a context of its own from js, since how many confirmations may be outstanding, and for how long,
// is set there.
func newPublisher(js jetstream.JetStream) (*publisher, error) {
	opts := []jetstream.JetStreamOpt{jetstream.WithPublishAsyncTimeout(publishWait), jetstream.WithPublishAsyncMaxPending(1024)}
	var own jetstream.JetStream
	var err error
	switch o := js.Options(); {
	case o.Domain != "":
		own, err = jetstream.NewWithDomain(js.Conn(), o.Domain, opts...)
	case o.APIPrefix != "" && o.APIPrefix != jetstream.DefaultAPIPrefix:
		own, err = jetstream.NewWithAPIPrefix(js.Conn(), strings.TrimSuffix(o.APIPrefix, "."), opts...)
	default:
		own, err = jetstream.New(js.Conn(), opts...)
	}
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	return &publisher{js: own}, nil
}

// publish gives rows to the bus, sets seq where the bus has confirmed, and returns the first error.
//
// It goes in waves: a wave holds at most one event of an entity, and its confirmations are awaited before the next wave
// starts. So events of an entity reach the stream in order, and when one fails the later ones wait for the next pass,
// while events of different entities do not wait for each other.
func (p *publisher) publish(ctx context.Context, source string, rows []*outRow) (first error) {
	blocked := map[string]bool{}
	for left := rows; len(left) > 0; {
		var wave, later []*outRow
		taken := map[string]bool{}
		for _, row := range left {
			switch key := row.stream + "/" + row.firm + "/" + row.entity; {
			case row.entity == "":
				wave = append(wave, row)
			case blocked[key]:
			case taken[key]:
				later = append(later, row)
			default:
				taken[key] = true
				wave = append(wave, row)
			}
		}
		if err := p.wave(ctx, source, wave); err != nil {
			if first == nil {
				first = err
			}
			for _, row := range wave {
				if row.seq == 0 {
					blocked[row.stream+"/"+row.firm+"/"+row.entity] = true
				}
			}
		}
		left = later
	}
	return first
}

// wave publishes rows at once and waits for every confirmation. It returns one of the errors.
func (p *publisher) wave(ctx context.Context, source string, rows []*outRow) (failure error) {
	acks := make([]jetstream.PubAckFuture, len(rows))
	for i, row := range rows {
		ack, err := p.js.PublishMsgAsync(message(source, row), jetstream.WithMsgID(row.id),
			jetstream.WithExpectStream(row.stream), jetstream.WithStallWait(publishWait), jetstream.WithRetryAttempts(0))
		if err != nil {
			failure = err
			break // the connection is down: the others would fail as well
		}
		acks[i] = ack
	}
	for i, ack := range acks {
		if ack == nil {
			continue
		}
		select {
		case ok := <-ack.Ok():
			rows[i].seq = int64(ok.Sequence) // of the first copy, when this was a duplicate
		case err := <-ack.Err():
			failure = err
		case <-ctx.Done():
			failure = ctx.Err()
		}
	}
	return failure
}

func message(source string, row *outRow) *nats.Msg {
	m := nats.NewMsg(row.subject)
	m.Data = row.payload
	for name, value := range map[string]string{
		headerType: row.typ, headerSource: source, headerFirm: row.firm, headerEntity: row.entity, headerTrace: row.trace,
		headerTime: strconv.FormatInt(row.created, 10), headerSequence: strconv.FormatInt(row.sequence, 10),
	} {
		if value != "" {
			m.Header.Set(name, value)
		}
	}
	return m
}

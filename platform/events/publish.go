package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// walk is how far a pass over the unpublished rows of a stream has come. A pass goes on past rows that failed, so that one
// that the bus does not take holds up only what comes after it in the same entity; the next pass tries them again.
type walk struct {
	after   int64 // position
	started time.Time

	sent, failed int
	failure      error
	blocked      map[string]bool // entities of which an event failed: their later events would overtake it
}

// batch publishes the next unpublished rows of the pass and marks them. more says that the pass is not over.
func (l *lane) batch(ctx context.Context) (more bool, err error) {
	if l.walk.after == 0 {
		l.walk = walk{started: l.opt.Now(), blocked: map[string]bool{}}
		l.pub.pace.silent = 0
	}
	// A slow bus is given less at a time, so that what it took is marked every few seconds.
	limit := min(l.opt.Batch, batchChunks*l.pub.pace.window)
	rows, err := l.unpublished(ctx, limit)
	if err != nil {
		return false, err
	}
	if len(rows) > 0 {
		l.walk.after = rows[len(rows)-1].position
		if _, err := l.open(ctx); err != nil {
			return false, err
		}
		failure := l.pub.publish(ctx, l.source, rows, l.walk.blocked)
		n, err := l.mark(ctx, rows)
		if err != nil {
			return false, err
		}
		l.walk.sent += n
		l.walk.failed += len(rows) - n
		if l.walk.failure == nil {
			l.walk.failure = failure
		}
	}
	if len(rows) == limit && ctx.Err() == nil && !l.pub.pace.stopped() {
		return true, nil
	}
	over := l.walk
	l.walk.after = 0
	switch {
	case over.failed == 0:
		return false, l.beacon(ctx)
	case over.sent == 0:
		return false, over.failure // and the next turn begins with a look at the stream
	}
	if l.said.anew(fmt.Sprint(l.known.Name, " left: ", over.failure)) {
		l.opt.Log.Warn("the bus did not take every event", "stream", l.known.Name, "published", over.sent, "left", over.failed,
			"error", over.failure)
	}
	return false, nil
}

// unpublished reads the next rows of the pass.
func (l *lane) unpublished(ctx context.Context, limit int) (rows []*outRow, err error) {
	if l.walk.after == 0 { // most of the time there is nothing, which takes one round trip to know
		if some, err := l.waiting(ctx, l.known.Name); err != nil || !some {
			return nil, err
		}
	}
	err = l.db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err = sqldb.Collect(tx, func(s *sqldb.Rows) (*outRow, error) {
			o := &outRow{}
			return o, s.Scan(&o.position, &o.id, &o.stream, &o.subject, &o.typ, &o.firm, &o.entity, &o.sequence,
				&o.trace, &o.payload, &o.created)
		}, `SELECT position, id, stream, subject, type, firm, entity, sequence, traceparent, payload, created_at
			FROM events_outbox WHERE published_seq IS NULL AND stream = $1 AND position > $2 ORDER BY position LIMIT $3`,
			l.known.Name, l.walk.after, limit)
		return err
	})
	return rows, err
}

// mark notes in the outbox where the bus has the rows, and returns how many it has. It does so also when the bus went
// away in the meantime.
func (l *lane) mark(ctx context.Context, rows []*outRow) (int, error) {
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
		if n := len(args); l.db.Dialect() == sqldb.Postgres {
			fmt.Fprintf(&values, "(CAST($%d AS BIGINT), CAST($%d AS BIGINT), CAST($%d AS BIGINT))", n+1, n+2, n+3)
		} else {
			values.WriteString("(?, ?, ?)") // SQLite's driver takes the square of their number for parameters with names
		}
		args = append(args, row.position, row.seq, l.state.created)
		l.state.saw(row.seq)
	}
	if len(args) == 0 {
		return 0, nil
	}
	err := l.db.Tx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`UPDATE events_outbox SET published_seq = v.column2, stream_created = v.column3
			FROM (VALUES `+values.String()+`) AS v WHERE position = v.column1`, args...)
		return err
	}, sqldb.ReadCommitted)
	l.published.Add(ctx, int64(len(args)/3))
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

// The pace at which a stream is given events. A server that syncs every message takes some thousands a second, or ten when
// its disk or its neighbours are slow. Were it given more than it can confirm within publishWait, the same events would be
// given again behind the first copies, which makes the queue longer still: nothing would ever be confirmed in time any more.
const (
	// paceStart is how many events a stream is given at once while nothing is known about it: few enough for a slow disk.
	paceStart = 16
	// paceGoal is how long they may take to be confirmed before fewer are given; below half of it more are. A quarter of
	// publishWait leaves room for a moment in which the servers do something else.
	paceGoal = publishWait / 4
	// paceDrop is by what fewer are given when a confirmation did not come in time: the queue must become shorter.
	paceDrop = 4
	// batchChunks is how many of these make a batch: two seconds at most while paceGoal is met.
	batchChunks = 4
	// maxSilent is after how many of these without any answer a pass is given up: 16 seconds, in which a stream has chosen
	// a new leader; the oldest are then tried again.
	maxSilent = 8
)

// pace is how many events a stream is given at once, learnt from how long it takes to confirm them.
type pace struct {
	window int
	silent int // chunks in a row that nobody answered
}

func (p *pace) stopped() bool { return p.silent >= maxSilent }

// answers is what became of the events that were given at once.
type answers struct {
	confirmed, known int // known: the stream had them already, which says nothing about how fast it takes new ones
	late, nobody     int // no confirmation in time; nobody there to confirm
	took             time.Duration
}

func (p *pace) learn(a answers, most int) {
	if a.confirmed > 0 {
		p.silent = 0
	} else if a.late+a.nobody > 0 {
		p.silent++
	}
	switch {
	case a.late > 0:
		p.window = max(1, p.window/paceDrop)
	case a.confirmed > 0 && a.took > paceGoal:
		p.window = max(1, p.window/2)
	case a.confirmed == p.window && a.known == 0 && a.took < paceGoal/2:
		p.window = min(most, p.window*2)
	}
}

// publisher gives rows to the bus.
type publisher struct {
	js   jetstream.JetStream
	opt  RelayOptions
	pace pace
}

// newPublisher makes a context of its own from js, since how many confirmations may be outstanding, and for how long,
// is set there.
func newPublisher(js jetstream.JetStream, opt RelayOptions) (*publisher, error) {
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
	return &publisher{js: own, opt: opt}, nil
}

// publish gives rows of one stream to the bus, sets seq where the bus has confirmed, and returns the first error.
//
// It goes in waves: a wave holds at most one event of an entity, and its confirmations are awaited before the next wave
// starts. So events of an entity reach the stream in order, and when one fails the later ones wait for the next pass
// (blocked), while events of different entities do not wait for each other.
func (p *publisher) publish(ctx context.Context, source string, rows []*outRow, blocked map[string]bool) (first error) {
	for left := rows; len(left) > 0; {
		var wave, later []*outRow
		taken := map[string]bool{}
		for _, row := range left {
			switch key := row.key(); {
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
					blocked[row.key()] = true
				}
			}
		}
		left = later
	}
	return first
}

// key is what events keep their order in.
func (o *outRow) key() string { return o.firm + "/" + o.entity }

// wave publishes rows, as many at once as the stream is known to confirm in time. It returns one of the errors.
func (p *publisher) wave(ctx context.Context, source string, rows []*outRow) (failure error) {
	for len(rows) > 0 && ctx.Err() == nil && !p.pace.stopped() {
		n := min(len(rows), p.pace.window)
		a, err := p.together(ctx, source, rows[:n])
		if err != nil {
			failure = err
		}
		p.pace.learn(a, p.opt.Batch)
		rows = rows[n:]
	}
	if len(rows) > 0 && failure == nil {
		failure = cmp.Or(ctx.Err(), error(jetstream.ErrAsyncPublishTimeout))
	}
	return failure
}

// together publishes rows at once and waits for every confirmation. It returns one of the errors.
func (p *publisher) together(ctx context.Context, source string, rows []*outRow) (a answers, failure error) {
	begun := p.opt.Now()
	acks := make([]jetstream.PubAckFuture, len(rows))
	for i, row := range rows {
		var err error
		acks[i], err = p.js.PublishMsgAsync(message(source, row), jetstream.WithMsgID(row.id),
			jetstream.WithExpectStream(row.stream), jetstream.WithStallWait(publishWait), jetstream.WithRetryAttempts(0))
		if err != nil {
			failure = err
			if !errors.Is(err, nats.ErrMaxPayload) { // which is about this one: the others would fail as well
				break
			}
		}
	}
	for i, ack := range acks {
		if ack == nil {
			continue
		}
		var err error
		select {
		case ok := <-ack.Ok():
			rows[i].seq = int64(ok.Sequence) // of the first copy, when this was a duplicate
			a.confirmed++
			if ok.Duplicate {
				a.known++
			}
			continue
		case err = <-ack.Err():
		case <-ctx.Done():
			err = ctx.Err()
		}
		failure = err
		switch {
		case errors.Is(err, jetstream.ErrAsyncPublishTimeout):
			a.late++
		case errors.Is(err, jetstream.ErrNoStreamResponse):
			a.nobody++
		}
	}
	a.took = p.opt.Now().Sub(begun)
	return a, failure
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

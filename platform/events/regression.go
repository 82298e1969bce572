package events

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-suite/concord/platform/sqldb"
)

// streamState is what a relay knows about a stream it publishes to.
type streamState struct {
	stream  jetstream.Stream
	created int64 // nanoseconds; a stream that was made again has another
	last    int64 // the highest sequence known to be taken
}

func (s *streamState) saw(seq int64) { s.last = max(s.last, seq) }

// open looks at the stream when it is not known yet.
func (l *lane) open(ctx context.Context) (*streamState, error) {
	if l.state != nil {
		return l.state, nil
	}
	stream, err := openStream(ctx, l.js, l.known, l.opt.Replicas)
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	l.state = &streamState{stream: stream, created: info.Created.UnixNano(), last: int64(info.State.LastSeq)}
	return l.state, nil
}

// compare looks whether the stream still has what the outbox says it has, and marks as unpublished what it has not.
func (l *lane) compare(ctx context.Context) error {
	var used bool
	err := l.db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM events_outbox WHERE stream = $1 AND published_seq IS NOT NULL)`,
		l.known.Name).Scan(&used)
	if err != nil {
		return err
	}
	if !used && l.known.Emitter != l.source { // its own stream is there from the start, for its beacons
		return nil
	}
	l.state = nil
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	if err := l.compareStream(ctx, s); err != nil {
		return fmt.Errorf("events: compare the outbox with stream %s: %w", l.known.Name, err)
	}
	return nil
}

// compareStream sees four things, from cheap to dear: the stream was made again; it ends before something we published;
// one of a sample of events is not where it was; and then, event by event, which ones.
func (l *lane) compareStream(ctx context.Context, s *streamState) error {
	name := l.known.Name
	const mine = ` FROM events_outbox WHERE published_seq IS NOT NULL AND stream = $1 AND stream_created `
	var lost int64
	for _, where := range []struct {
		condition string
		args      []any
	}{
		{"< $2", []any{name, s.created}},
		{"> $2", []any{name, s.created}},
		{"= $2 AND published_seq > $3", []any{name, s.created, s.last}},
	} {
		n, err := l.unmark(ctx, `SELECT position`+mine+where.condition+` LIMIT 1000`, where.args...)
		if err != nil {
			return err
		}
		lost += n
	}
	sound, err := l.sample(ctx, name, s)
	if err == nil && (!sound || l.reading.created == s.created) {
		var n int64
		n, err = l.reconcile(ctx, name, s)
		lost += n
	}
	if lost > 0 {
		l.republished.Add(ctx, lost)
		l.opt.Log.Warn("the bus has lost events, they will be published again", "stream", name, "events", lost)
		l.walk = walk{}
	}
	return err
}

// unmark marks the rows that query finds as unpublished, a thousand at a time.
func (r *Relay) unmark(ctx context.Context, query string, args ...any) (total int64, err error) {
	for {
		var n int64
		err := r.db.Tx(ctx, func(tx *sqldb.Tx) (err error) {
			n, err = tx.Exec(`UPDATE events_outbox SET published_seq = NULL, stream_created = NULL WHERE position IN (`+query+`)`, args...)
			return err
		}, sqldb.ReadCommitted)
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

// mark is where the outbox says an event is.
type mark struct {
	position, seq int64
	id            string
}

func scanMark(rows *sqldb.Rows) (m mark, err error) {
	return m, rows.Scan(&m.position, &m.seq, &m.id)
}

const selectMarks = `SELECT position, published_seq, id FROM events_outbox
	WHERE published_seq IS NOT NULL AND stream = $1 AND stream_created = $2 AND published_seq > $3 ORDER BY published_seq `

// The sample: the newest events, because a crash takes the end of a stream, and some of any age, because a damaged block
// takes a piece out of the middle. Damage of 1 % of the messages is found within 10 checks, five minutes, with 80 %.
const (
	sampleNewest = 16
	sampleAny    = 16
)

// sample reports whether each of some events is where the outbox says.
func (r *Relay) sample(ctx context.Context, name string, s *streamState) (sound bool, err error) {
	var marks []mark
	err = r.db.Read(ctx, func(tx *sqldb.Tx) error {
		var low, high int64
		err := tx.QueryRow(`SELECT coalesce(min(published_seq), 0), coalesce(max(published_seq), 0) FROM events_outbox
			WHERE published_seq IS NOT NULL AND stream = $1 AND stream_created = $2`, name, s.created).Scan(&low, &high)
		if err != nil || high == 0 {
			return err
		}
		if marks, err = sqldb.Collect(tx, scanMark, selectMarks+`DESC LIMIT $4`, name, s.created, 0, sampleNewest); err != nil {
			return err
		}
		for range sampleAny {
			some, err := sqldb.Collect(tx, scanMark, selectMarks+`LIMIT 1`, name, s.created, low-1+rand.Int64N(high-low+1))
			if err != nil {
				return err
			}
			marks = append(marks, some...)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, m := range marks {
		msg, err := held(ctx, s.stream, uint64(m.seq))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if msg.Header.Get(jetstream.MsgIDHeader) != m.id {
			return false, nil
		}
	}
	return true, nil
}

// held is the message that a stream has at a sequence.
func held(ctx context.Context, stream jetstream.Stream, seq uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	return stream.GetMsg(ctx, seq)
}

// reading is how far reconcile has come in a stream; zero when it is not under way.
type reading struct{ created, after int64 }

// reconcile reads the headers of the stream beside the outbox, in order, and marks as unpublished what is missing. What a lost
// connection or stepWait interrupts goes on where it was: weeks of events may take longer than a step.
func (l *lane) reconcile(ctx context.Context, name string, s *streamState) (lost int64, err error) {
	if l.reading.created != s.created {
		l.reading = reading{created: s.created}
	}
	for {
		var marks []mark
		err := l.db.Read(ctx, func(tx *sqldb.Tx) (err error) {
			marks, err = sqldb.Collect(tx, scanMark, selectMarks+`LIMIT 1000`, name, s.created, l.reading.after)
			return err
		})
		if err != nil {
			return lost, err
		}
		if len(marks) == 0 {
			l.reading = reading{}
			return lost, nil
		}
		missing, err := missingFrom(ctx, s.stream, marks)
		if err != nil {
			return lost, err
		}
		if len(missing) > 0 {
			d := l.db.Dialect()
			n, err := l.unmark(ctx, `SELECT position FROM events_outbox WHERE published_seq IS NOT NULL AND `+d.AnyOf("position", 1),
				sqldb.List(d, missing))
			lost += n
			if err != nil {
				return lost, err
			}
		}
		l.reading.after = marks[len(marks)-1].seq
	}
}

// silence is how long a stream that has more to deliver may say nothing.
const silence = 5 * time.Second

// missingFrom returns the positions of those marks whose message the stream has not, or has with another id.
func missingFrom(ctx context.Context, stream jetstream.Stream, marks []mark) (positions []int64, err error) {
	expected := map[uint64]mark{}
	for _, m := range marks {
		expected[uint64(m.seq)] = m
	}
	last := uint64(marks[len(marks)-1].seq)
	asked, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	info, err := stream.Info(asked)
	if err != nil {
		return nil, err
	}
	if last = min(last, info.State.LastSeq); last >= uint64(marks[0].seq) && info.State.Msgs > 0 {
		if err := tick(ctx, stream, expected, uint64(marks[0].seq), last); err != nil {
			return nil, err
		}
	}
	for _, m := range expected {
		positions = append(positions, m.position)
	}
	return positions, nil
}

// tick takes out of expected what the stream has between first and last.
func tick(ctx context.Context, stream jetstream.Stream, expected map[uint64]mark, first, last uint64) error {
	made, cancel := context.WithTimeout(ctx, subscribeWait)
	defer cancel()
	cons, err := stream.OrderedConsumer(made, jetstream.OrderedConsumerConfig{HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: first})
	if err != nil {
		return err
	}
	messages, err := cons.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	if cons.CachedInfo().NumPending == 0 {
		return nil
	}
	for {
		bounded, cancel := context.WithTimeout(ctx, silence)
		msg, err := messages.Next(jetstream.NextContext(bounded))
		cancel()
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		seq := meta.Sequence.Stream
		if m, ok := expected[seq]; ok && m.id == msg.Headers().Get(jetstream.MsgIDHeader) {
			delete(expected, seq)
		}
		if seq >= last || meta.NumPending == 0 {
			return nil
		}
	}
}

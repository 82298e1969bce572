package events

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-suite/concord/platform/events/topology"
)

// A beacon is what a relay says about itself, once a second, outside of the stream: everything that was committed when
// I last looked is in the stream, up to this sequence. A consumer that has handled the stream so far knows with it how
// old its own data can be at most, also when nothing happens for hours, and that it knows nothing when beacons stay out.
type beacon struct {
	Source string        `json:"source"`
	Last   uint64        `json:"last"`   // sequence in the stream
	Age    time.Duration `json:"age_ns"` // since the relay looked
}

// beaconEvery is the resolution of Lag.
const beaconEvery = time.Second

// beacon tells consumers that everything committed before the pass began is published, up to last.
func (l *lane) beacon(ctx context.Context) error {
	now := l.opt.Now()
	if l.state == nil || now.Sub(l.lastBeacon) < beaconEvery {
		return nil
	}
	// What another replica published while both believed to hold the lock is found only here.
	var marked int64
	err := l.db.QueryRow(ctx, `SELECT coalesce(max(published_seq), 0) FROM events_outbox
		WHERE published_seq IS NOT NULL AND stream = $1 AND stream_created = $2`, l.known.Name, l.state.created).Scan(&marked)
	if err != nil {
		return err
	}
	l.lastBeacon = now
	l.state.saw(marked)
	data, err := json.Marshal(beacon{Source: l.source, Last: uint64(l.state.last), Age: max(0, now.Sub(l.walk.started))})
	if err == nil {
		_ = l.js.Conn().Publish(topology.BeaconSubject(l.known.Name), data) // the next one says the same, and more
	}
	return err
}

// horizon is what a consumer knows about how far it has followed a stream.
type horizon struct {
	mu      sync.Mutex
	proven  map[string]time.Time // by source: everything committed there before is handled here, or put aside
	pending map[string][]claim   // by source: what beacons said about sequences not handled yet
}

// claim is a beacon by this consumer's clock.
type claim struct {
	last  uint64
	since time.Time
}

// maxClaims bounds what is remembered while the consumer is behind: a minute, and then every other is dropped.
const maxClaims = 60

func (h *horizon) add(source string, c claim) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pending == nil {
		h.proven, h.pending = map[string]time.Time{}, map[string][]claim{}
	}
	all := append(h.pending[source], c)
	if len(all) > maxClaims {
		kept := all[:0]
		for i := 0; i < len(all); i += 2 {
			kept = append(kept, all[i])
		}
		all = kept
	}
	h.pending[source] = all
}

// handled proves the claims up to the sequence that was handled.
func (h *horizon) handled(upTo uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for source, claims := range h.pending {
		var open []claim
		for _, c := range claims {
			if c.last > upTo {
				open = append(open, c)
			} else if c.since.After(h.proven[source]) {
				h.proven[source] = c.since
			}
		}
		h.pending[source] = open
	}
}

// oldest returns the time up to which every source heard of is known; false before the first proof.
func (h *horizon) oldest() (t time.Time, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for source := range h.pending {
		if at := h.proven[source]; !ok || at.Before(t) {
			t, ok = at, true
		}
	}
	return t, ok && !t.IsZero()
}

// listen follows the beacons of a stream until ctx ends.
func (c *Consumer) listen(ctx context.Context, h *horizon, stream string, cons jetstream.Consumer) error {
	beacons := make(chan *nats.Msg, 16)
	sub, err := c.js.Conn().ChanSubscribe(topology.BeaconSubject(stream), beacons)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-beacons:
			var b beacon
			if json.Unmarshal(msg.Data, &b) != nil {
				continue
			}
			h.add(b.Source, claim{b.Last, c.opt.Now().Add(-b.Age)})
			info, err := infoOf(ctx, cons)
			if err != nil {
				continue // not proven
			}
			upTo := info.AckFloor.Stream
			if info.NumPending == 0 && info.NumAckPending == 0 {
				upTo = max(upTo, b.Last) // of the subjects this consumer wants there is nothing left
			}
			h.handled(upTo)
		}
	}
}

// infoOf asks how far the consumer is.
func infoOf(ctx context.Context, cons jetstream.Consumer) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	return cons.Info(ctx)
}

// unknownLag is the answer before anything is known: longer than anybody accepts.
const unknownLag = time.Duration(1<<63 - 1)

// Lag returns how old the data can be that firm's events of stream made here: nothing committed at the emitter longer
// ago is missing. It counts what the relay has not published, the bus has not delivered, and what was put aside here,
// parked events included. Without a word from the emitter it grows, and before the first one it is unbounded. What must
// not act on old data (who may see which client) refuses above a few seconds.
//
// stream is a name from Streams. Other firms' events that are put aside do not count.
func (c *Consumer) Lag(ctx context.Context, stream, firm string) (time.Duration, error) {
	h := c.horizons[stream]
	if h == nil {
		return unknownLag, nil
	}
	known, ok := h.oldest()
	if !ok {
		return unknownLag, nil
	}
	lag := max(0, c.opt.Now().Sub(known))
	var us int64
	err := c.db.QueryRow(ctx, `SELECT coalesce(`+c.db.Dialect().NowMicros()+` - min(event_time), 0) FROM events_parked
		WHERE consumer = $1 AND firm = $2 AND stream = $3 AND state <> 'DISCARDED'`, c.service, firm, stream).Scan(&us)
	if err != nil {
		return unknownLag, err
	}
	return max(lag, time.Duration(us)*time.Microsecond), nil
}

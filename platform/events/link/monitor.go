package link

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/mtls"
)

// The pace of a Monitor. A server that stops answering is noticed within silentAfter of its last answer, so that a
// readiness check that is bounded by two seconds tells the truth.
const (
	probeEvery  = 500 * time.Millisecond
	probeWait   = time.Second
	silentAfter = 1500 * time.Millisecond
	// moveAfter is after how many questions without an answer the connection is taken to another server. Six seconds: a
	// server that is only busy answers by then.
	moveAfter = 4
	// compareEvery is how often streams are looked at while all is well, troubledEvery while something is not.
	compareEvery, troubledEvery = 30 * time.Second, time.Second
	// refusedFor is how long a refused subject counts as trouble: whoever needs it asks again sooner.
	refusedFor = 30 * time.Second
)

// Options says whose connection a Monitor watches. The zero value of each field but Part is right for production.
type Options struct {
	// Part is the part of the suite, whose streams are compared with their declaration.
	Part string
	// Own is the certificate by which the servers know the program, to say when it cannot be used. Optional.
	Own   *mtls.Source
	Now   func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil means nowhere
	Meter metric.Meter     // nil means nowhere
}

// Monitor watches a connection. Its Health never waits for anything.
type Monitor struct {
	opt        Options
	reconnects atomic.Int64
	said       sync.Map      // lines that were written lately
	wake       chan struct{} // there is a connection whose streams were not looked at

	mu       sync.Mutex
	alive    bool        // the last question was answered, silentAfter ago at most
	silent   *time.Timer // makes it not alive
	compared bool        // since the connection was made
	settled  bool        // everything was right once
	state    State
	since    time.Time
	fault    error // why the last attempt to connect failed
	refused  string
	streams  []topology.Difference
	trouble  error // why the streams could not be compared

	end  context.CancelFunc
	done sync.WaitGroup
}

// NewMonitor returns a monitor. Give its Options to whoever connects, then Watch the connection.
func NewMonitor(opt Options) *Monitor {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Meter == nil {
		opt.Meter = noop.NewMeterProvider().Meter("")
	}
	m := &Monitor{opt: opt, since: opt.Now(), end: func() {}, wake: make(chan struct{}, 1)}
	m.silent = time.AfterFunc(silentAfter, func() { m.heard(false) })
	m.measure()
	return m
}

// Options makes a connection tell the monitor why it fails.
func (m *Monitor) Options() []nats.Option {
	return []nats.Option{
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { m.failed(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { m.failed(err) }),
		nats.ReconnectHandler(func(*nats.Conn) { m.reconnects.Add(1); m.anew() }),
	}
}

// Watch begins to watch nc, until Close.
func (m *Monitor) Watch(nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.end = cancel
	m.done.Go(func() { m.probe(ctx, nc) })
	m.done.Go(func() { m.compare(ctx, js) })
	return nil
}

// Close ends the watching.
func (m *Monitor) Close() {
	m.end()
	m.done.Wait()
	m.silent.Stop()
}

// probe asks the server for an answer again and again.
func (m *Monitor) probe(ctx context.Context, nc *nats.Conn) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for unanswered := 0; ; {
		switch status := nc.Status(); {
		case status != nats.CONNECTED:
			unanswered = 0
			if err := nc.LastError(); err != nil {
				m.failed(err)
			}
		case answers(ctx, nc):
			unanswered = 0
			m.heard(true)
		default:
			if unanswered++; unanswered == moveAfter {
				unanswered = 0
				_ = nc.ForceReconnect() // fails only for a connection that was closed
			}
		}
		m.tell()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, nc *nats.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	return nc.FlushWithContext(ctx) == nil
}

// compare looks at the streams whenever there is a connection.
func (m *Monitor) compare(ctx context.Context, js jetstream.JetStream) {
	tick := time.NewTicker(troubledEvery)
	defer tick.Stop()
	for waited := compareEvery; ; waited += troubledEvery {
		m.mu.Lock()
		due := m.alive && (!m.compared || !m.settled || m.trouble != nil || len(m.streams) > 0 || waited >= compareEvery)
		m.mu.Unlock()
		if due {
			waited = 0
			found, err := topology.Compare(ctx, js, m.opt.Part)
			m.found(found, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-tick.C:
		}
	}
}

// heard notes that a question was answered, or none for too long.
func (m *Monitor) heard(answer bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.alive = answer; answer {
		m.silent.Reset(silentAfter)
		m.fault = nil
		if !m.compared {
			select {
			case m.wake <- struct{}{}:
			default:
			}
		}
	}
	m.judge()
}

// failed notes what the library tells.
func (m *Monitor) failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if text := topology.Explain(err); text != "" && m.alive { // about a subject, not the connection
		m.refused = text
		time.AfterFunc(refusedFor, func() { m.forgive(text) })
	} else {
		m.fault = err
	}
	m.judge()
}

func (m *Monitor) forgive(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.refused != text:
	case m.trouble != nil: // a subscription is refused once, and missed all the time
		time.AfterFunc(refusedFor, func() { m.forgive(text) })
	default:
		m.refused = ""
		m.judge()
	}
}

// anew forgets what another server, or another time, said.
func (m *Monitor) anew() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.compared, m.refused = false, ""
}

func (m *Monitor) found(streams []topology.Difference, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // the connection ended meanwhile, which says nothing about streams
		m.compared = false
		return
	}
	m.compared, m.streams, m.trouble = err == nil, streams, err
	m.judge()
}

// judge sets the state from what is known. The caller holds mu.
func (m *Monitor) judge() {
	stopped := m.refused != "" || m.trouble != nil
	for _, d := range m.streams {
		stopped = stopped || d.Stops
	}
	state := Lost
	switch {
	case m.alive && m.compared && !stopped:
		state, m.settled = Connected, true
	case m.alive && m.settled && !stopped: // reconnected a moment ago
		state = Connected
	case m.alive && stopped:
		state = Wrong
	case !m.settled:
		state = Never
	}
	if state != m.state {
		m.state, m.since = state, m.opt.Now()
	}
}

// measure registers the metrics. A meter that refuses them must not stop the bus.
func (m *Monitor) measure() {
	_, _ = m.opt.Meter.Int64ObservableGauge("concord.events.bus.connected",
		metric.WithDescription("1 while the bus answers and has what is needed, else 0."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			connected := int64(0)
			if m.Health().State == Connected {
				connected = 1
			}
			o.Observe(connected)
			return nil
		}))
	_, _ = m.opt.Meter.Int64ObservableCounter("concord.events.bus.reconnects",
		metric.WithDescription("Connections to the bus made anew."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(m.reconnects.Load())
			return nil
		}))
}

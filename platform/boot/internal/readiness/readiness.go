// Package readiness keeps watch over what a process needs to answer rightly, part by part: its database, the schema, the
// bus, its certificate, what the service itself says.
//
// Every part is asked by itself, again and again, so that one that hangs neither holds up the others nor whoever wants to
// know. What is told is never older than Truth.
package readiness

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const (
	// askTime is how long a part may think. A database in the same network answers in milliseconds.
	askTime = time.Second
	// every is the pause between two questions: with askTime it makes a second and a half, and the rest of Truth is for a
	// loaded machine.
	every = 500 * time.Millisecond
	// Truth is how old an answer may be: a kubelet, a balancer and a person act on it.
	Truth = 2 * time.Second
	// repeat is how often the log says again that a process is still not ready.
	repeat = 30 * time.Second
)

// OK is the state of a part with nothing to say.
const OK = "ok"

// Ask says how a part is: its state in a few plain words when the process can answer rightly, OK or what it does without
// ("unreachable for 12s, serving without it"), else an error that says what is wrong and what to do. Both are shown to
// whoever reaches the port for health: no secrets, no addresses. An error with a method Plain() string is shown as that, and
// as it is to the log alone. It returns soon after ctx ends.
type Ask func(ctx context.Context) (state string, err error)

// Part is one thing to ask.
type Part struct {
	Name string
	Ask  Ask
	// Needs names a part that must be well before this one is asked; empty means none.
	Needs string
	// Private keeps the words of the error for the log.
	Private bool
}

// Answer is what a part said last.
type Answer struct {
	Part  string
	State string // OK, or words
	Err   error  // why the process is not ready
	shown string // Err for strangers
}

// Watch is the readiness of one process. Make one with New.
type Watch struct {
	log *slog.Logger
	now func() time.Time

	mu       sync.Mutex
	parts    []Part
	answers  []Answer
	open     bool // the process serves
	stopping bool
	said     string // what was said to the log last, and when
	saidAt   time.Time
	changed  chan struct{}
	run      context.Context // of the parts, set by Start
	all      sync.WaitGroup
}

// ErrStarting is what a part says that was not asked yet, or waits for the rest of the start. It is no news for the log.
var ErrStarting = errors.New("starting")

// New makes a watch that says "starting" until Open was called. Its gauges are made with meter.
func New(log *slog.Logger, meter metric.Meter, now func() time.Time) (*Watch, error) {
	w := &Watch{log: log, now: now, changed: make(chan struct{}, 1)}
	whole, err := meter.Int64ObservableGauge("concord.ready", metric.WithDescription("1 when the process answers calls rightly, else 0."))
	if err != nil {
		return nil, err
	}
	each, err := meter.Int64ObservableGauge("concord.ready.part", metric.WithDescription("1 when this part of readiness is well, else 0."))
	if err != nil {
		return nil, err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(whole, oneIf(w.Ready() == nil))
		for _, a := range w.Answers() {
			o.ObserveInt64(each, oneIf(a.Err == nil && well(a.State)), metric.WithAttributes(attribute.String("part", a.Part)))
		}
		return nil
	}, whole, each)
	return w, err
}

// well tells whether a state says nothing is amiss: OK, with words behind it or none.
func well(state string) bool { return state == OK || strings.HasPrefix(state, OK+",") }

func oneIf(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// Start begins to ask, until ctx ends. The function it returns waits for that.
func (w *Watch) Start(ctx context.Context) (wait func()) {
	w.mu.Lock()
	w.run = ctx
	parts := w.parts
	w.mu.Unlock()
	for i := range parts {
		w.all.Go(func() { w.follow(ctx, i) })
	}
	w.all.Go(func() { w.repeat(ctx) })
	return w.all.Wait
}

// Add adds a part, which is not well until it has answered.
func (w *Watch) Add(p Part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := len(w.parts)
	w.parts = append(w.parts, p)
	w.answers = append(w.answers, Answer{Part: p.Name, Err: ErrStarting, shown: ErrStarting.Error()})
	if ctx := w.run; ctx != nil {
		w.all.Go(func() { w.follow(ctx, i) })
	}
}

// Open says that the process serves: from now on it is ready when its parts are.
func (w *Watch) Open() { w.set(func() { w.open = true }) }

// Stop says that the process is about to end: it is not ready from now on, whatever its parts say.
func (w *Watch) Stop() { w.set(func() { w.stopping = true }) }

// Changed receives after the answer of Ready may have changed.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Ready is nil when every part was well when it was last asked, else it says what is wrong.
func (w *Watch) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.verdict()
}

// Answers returns what each part said last.
func (w *Watch) Answers() []Answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Answer(nil), w.answers...)
}

// Report returns whether the process is ready, and why in plain lines for strangers: the verdict, then one per part.
func (w *Watch) Report() (ready bool, lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ready = w.verdict() == nil
	switch {
	case w.stopping:
		return false, []string{"stopping"}
	case ready:
		lines = []string{"ready"}
	default:
		lines = []string{"not ready"}
	}
	for _, a := range w.answers {
		said := a.State
		if a.Err != nil {
			said = a.shown
		}
		lines = append(lines, a.Part+": "+line(said))
	}
	return ready, lines
}

// verdict is the answer of Ready. The caller holds mu.
func (w *Watch) verdict() error {
	if w.stopping {
		return errors.New("stopping")
	}
	var wrong []string
	well := w.open
	for _, a := range w.answers {
		well = well && a.Err == nil
		// What is only not asked says nothing that the part it waits for does not say.
		if _, waits := a.Err.(*waiting); a.Err != nil && a.Err != ErrStarting && !waits {
			wrong = append(wrong, a.Part+": "+line(a.Err.Error()))
		}
	}
	switch {
	case len(wrong) > 0:
		return errors.New(strings.Join(wrong, "; "))
	case !well:
		return ErrStarting
	}
	return nil
}

// line puts a text on one line.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }

// set changes the watch, tells the log when that changed what there is to say, and wakes whoever waits for changes.
func (w *Watch) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.verdict() == nil
	change()
	verdict := w.verdict()
	w.tell(verdict)
	if before != (verdict == nil) {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

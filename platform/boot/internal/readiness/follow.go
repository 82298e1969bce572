package readiness

import (
	"context"
	"errors"
	"strings"
	"time"
)

// waiting is the error of a part that is not asked while the one it needs is not well.
type waiting struct{ needs string }

// Error implements error.
func (e *waiting) Error() string { return "not asked while there is no " + e.needs }

var errSilent = errors.New("does not answer")

// follow asks one part until ctx ends. A question that hangs is not asked a second time beside the first.
func (w *Watch) follow(ctx context.Context, i int) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		w.mu.Lock()
		part := w.parts[i]
		needs := w.has(part.Needs)
		w.mu.Unlock()
		if !needs {
			w.note(i, "", &waiting{part.Needs})
		} else {
			w.ask(ctx, i, part)
		}
		pause.Reset(w.pause(i))
	}
}

// pause is how long a part is left alone. One that is not well is asked sooner: a start and a recovery are waited for.
func (w *Watch) pause(i int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers[i].Err != nil {
		return every / 5
	}
	return every
}

// has tells whether the part of that name was well when it was last asked. The caller holds mu.
func (w *Watch) has(name string) bool {
	for _, a := range w.answers {
		if a.Part == name && a.Err != nil {
			return false
		}
	}
	return true
}

// ask asks a part once and notes its answer, or after askTime that there is none; it waits for the answer all the same.
func (w *Watch) ask(ctx context.Context, i int, part Part) {
	bounded, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	type answer struct {
		state string
		err   error
	}
	said := make(chan answer, 1)
	go func() {
		state, err := part.Ask(bounded)
		said <- answer{state, err}
	}()
	select {
	case a := <-said:
		if ctx.Err() == nil {
			w.note(i, a.state, a.err)
		}
		return
	case <-bounded.Done():
	}
	if ctx.Err() != nil {
		return
	}
	w.note(i, "", errSilent)
	select {
	case <-said: // too late to count: the next question is a moment away
	case <-ctx.Done():
	}
}

// note takes down what a part said.
func (w *Watch) note(i int, state string, err error) {
	w.set(func() {
		a := Answer{Part: w.parts[i].Name, State: state, Err: err}
		if state == "" && err == nil {
			a.State = OK
		}
		if err != nil {
			a.shown = err.Error()
			var plain interface{ Plain() string }
			if errors.As(err, &plain) {
				a.shown = plain.Plain()
			}
			if errors.Is(err, context.DeadlineExceeded) {
				a.Err, a.shown = errSilent, errSilent.Error()
			} else if _, waits := err.(*waiting); w.parts[i].Private && !waits && err != errSilent {
				a.shown = "not ready; the log says why"
			}
		}
		w.answers[i] = a
	})
}

// tell says to the log what has changed: one line, when the process becomes ready or does not any more, or for another
// reason than before. The caller holds mu.
func (w *Watch) tell(verdict error) {
	text := w.summary(verdict)
	if same(text, w.said) || w.run == nil {
		return
	}
	w.say(text, verdict)
}

// summary is what there is to say: why the process is not ready, or what it does without. The caller holds mu.
func (w *Watch) summary(verdict error) string {
	if verdict != nil {
		return verdict.Error()
	}
	var without []string
	for _, a := range w.answers {
		if !well(a.State) {
			without = append(without, a.Part+": "+a.State)
		}
	}
	return strings.Join(without, "; ")
}

// same tells whether two texts differ in nothing but numbers: "unreachable for 12s" is no news after "for 11s".
func same(a, b string) bool { return unnumbered(a) == unnumbered(b) }

func unnumbered(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' || r == 'm' || r == 'h' {
			return -1 // the units, too: 59s becomes 1m0s
		}
		return r
	}, text)
}

// say writes the line. The caller holds mu.
func (w *Watch) say(text string, verdict error) {
	w.said, w.saidAt = text, w.now()
	switch {
	case w.stopping || verdict == ErrStarting:
	case verdict != nil:
		w.log.Warn("not ready", "why", text)
	case text != "":
		w.log.Warn("ready, though not everything is well", "why", text)
	default:
		w.log.Info("ready")
	}
}

// repeat says again from time to time what is still wrong.
func (w *Watch) repeat(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		verdict := w.verdict()
		if text := w.summary(verdict); text != "" && w.now().Sub(w.saidAt) >= repeat {
			w.say(text, verdict)
		}
		w.mu.Unlock()
	}
}

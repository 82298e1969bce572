// Package demo does the suite's main job before somebody's eyes: it signs an administrator in, connects a simulated
// practice, syncs it, lets clients leave and one come back, and tables what happened. It speaks to the suite by REST and
// to the simulated world by its pages and inbox, like a person with a browser would; it has no way in of its own.
//
// Each step first looks whether it was done: a demonstration that was killed goes on where it was, and one that is
// started again on the same directory shows the same summary.
package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/concord-suite/concord/sim/remote"
)

// Config is what the demonstration needs to know.
type Config struct {
	// BaseURL is where the suite's REST is.
	BaseURL string
	// World drives the simulated world.
	World *remote.Client
	// WorldURL is where people look at it.
	WorldURL string
	// SetupCode claims a new installation; empty when it was claimed.
	SetupCode string
	// Dir keeps how far the demonstration is.
	Dir string
	// Out is where people look.
	Out io.Writer
	// Now is the clock.
	Now func() time.Time
}

// Demo is one demonstration.
type Demo struct {
	cfg    Config
	state  *state
	screen *screen
	op     *rest
	admin  *rest
	lasted time.Duration // the longest run that the step under way has shown
}

// step is one part of the job. It may be run again after it was half done.
type step struct {
	name, title string
	run         func(*Demo, context.Context) ([]row, error)
	// leavers is how many clients must be there to leave.
	leavers int
}

// steps are the job, in order; names are kept in the state file and must not change their meaning.
var steps = []step{
	{"installation", "Operator claims the installation and creates the firm", (*Demo).installation, 0},
	{"administrator", "Administrator accepts the invitation and signs in with a PIN", (*Demo).administrator, 0},
	{"connect", "Connecting Xero Practice Manager by OAuth 2", (*Demo).connect, 0},
	{"first-sync", "First full sync", (*Demo).firstSync, 0},
	{"documents", "Filing documents, and sending one for signature", (*Demo).documents, 0},
	{"leaving", "Clients are archived upstream; a full sync withholds their removal", (*Demo).leaving, 1},
	{"approval", "Administrator approves; off-boarding", (*Demo).approval, 1},
	{"archive", "Deleting an orphaned folder into the document archive, and restoring a document", (*Demo).archive, 2},
	{"return", "One client is un-archived upstream and comes back", (*Demo).comeBack, 1},
	{"nothing-new", "A full sync in which nothing changed", (*Demo).nothingNew, 0},
}

// Run does the job, or what is left of it, and prints the summary.
func Run(ctx context.Context, cfg Config) error {
	st, err := loadState(cfg.Dir)
	if err != nil {
		return err
	}
	d := &Demo{cfg: cfg, state: st, screen: newScreen(cfg.Out), op: newREST(cfg.BaseURL), admin: newREST(cfg.BaseURL)}
	for i, s := range steps {
		if err := d.do(ctx, i+1, s); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	d.summary()
	return nil
}

// do runs one step unless it was done; people are signed in when a later step needs them.
func (d *Demo) do(ctx context.Context, n int, s step) error {
	d.screen.step(n, len(steps), s.title)
	if _, done := d.state.Done[s.name]; done {
		d.screen.say("      done before")
		return nil
	}
	begin := d.cfg.Now()
	d.lasted = 0
	rows, err := d.perform(ctx, s)
	if err != nil {
		return err
	}
	d.state.Done[s.name] = rows
	d.state.Took[s.name] = max(d.state.Took[s.name]+d.cfg.Now().Sub(begin), d.lasted)
	for _, r := range rows {
		d.screen.say("      %s: %s", r.What, r.Value)
	}
	return d.state.save()
}

// perform does the step, or says why this practice is too small for it.
func (d *Demo) perform(ctx context.Context, s step) ([]row, error) {
	switch there := len(d.state.Sets["leavers"]); {
	case there >= s.leavers:
		return s.run(d, ctx)
	case there == 0 && d.state.Names["signer"] == "":
		return leftOut("no client of this practice can be told from the others by its name"), nil
	case there == 0:
		return leftOut("this practice is too small: its only client can't leave, a sync takes no empty listing for the truth"), nil
	default:
		return leftOut(fmt.Sprintf("this practice is too small: %s must leave, and %d can", count(s.leavers, "client"), there)), nil
	}
}

// leftOut is what a step shows that has nothing to do in this practice.
func leftOut(why string) []row { return []row{{"left out", why}} }

func (d *Demo) summary() {
	for _, s := range steps {
		d.screen.table(s.title, append(d.state.Done[s.name], row{"time", took(d.state.Took[s.name], time.Millisecond)}))
	}
}

// SignIns are the lines to print for people who want to go on by hand.
func SignIns(dir string) ([]string, error) {
	st, err := loadState(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, p := range []person{st.Administrator, st.Operator} {
		out = append(out, fmt.Sprintf("%-30s %-28s %s", p.Name, p.Email, p.Password))
	}
	return out, nil
}

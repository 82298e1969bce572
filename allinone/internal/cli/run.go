package cli

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/allinone/internal/datadir"
	"github.com/concord-suite/concord/allinone/internal/demo"
	"github.com/concord-suite/concord/allinone/internal/node"
	"github.com/concord-suite/concord/allinone/internal/origin"
	"github.com/concord-suite/concord/allinone/internal/upstream"
	"github.com/concord-suite/concord/sim"
)

// run is the suite with the simulated world, doing the main job.
func (p process) run(ctx context.Context, args []string) error {
	var c common
	var exit bool
	var practice string
	var clients int
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	c.register(f, filepath.Join("data", "run"), "", "error")
	f.BoolVar(&exit, "exit", false, "end when the job is done, instead of leaving the suite up")
	f.StringVar(&practice, "practice", "", "a CSV of clients, or a folder of recorded provider exchanges, instead of the generated practice")
	f.IntVar(&clients, "clients", sim.DefaultClients, "how many clients the generated practice has")
	wrong, err := p.parse(f, args)
	if err != nil {
		return err
	}
	c.check(wrong)
	if err := wrong.take(node.CheckSettings(p.environ, c.file)); err != nil {
		return err
	}
	asked := map[string]bool{}
	f.Visit(func(f *flag.Flag) { asked[f.Name] = true })
	world := sim.Config{Dir: origin.World(c.dataDir), Practice: practice, Clients: clients, ClockFactor: upstream.ClockFactor}
	if err := choose(wrong, c.dataDir, world, asked); err != nil {
		return err
	}
	if err := wrong.err(); err != nil {
		return err
	}
	return p.begin(ctx, c, world, exit)
}

// choose looks at the practice that is asked for: whether there can be such a one, and whether the data directory has
// another already.
func choose(wrong *mistakes, dir string, world sim.Config, asked map[string]bool) error {
	if asked["practice"] && asked["clients"] {
		wrong.add("--clients", "is the size of a generated practice, and --practice names another one; give one of them")
	}
	if world.Clients == 0 {
		world.Clients = -1 // zero is the default of the simulated world, and not of a person who types it
	}
	for _, m := range world.Check() {
		wrong.add("--"+m.Flag, m.Rule)
	}
	has, found, err := origin.In(dir)
	if err != nil || !found || wrong.err() != nil || !asked["practice"] && !asked["clients"] {
		return err
	}
	wants, err := origin.Of(world.Practice, world.Clients)
	if err == nil && !has.Same(wants) {
		flag := "--clients"
		if asked["practice"] {
			flag = "--practice"
		}
		wrong.add(flag, fmt.Sprintf("the data directory %s belongs to another practice, %s; choose another by --data-dir, or delete it to begin anew", dir, has))
	}
	return err
}

// begin starts the world, notes whose it is when it is new, and runs the suite on it.
func (p process) begin(ctx context.Context, c common, cfg sim.Config, exit bool) error {
	if err := datadir.Make(c.dataDir); err != nil {
		return err
	}
	if _, found, err := origin.In(c.dataDir); err != nil {
		return err
	} else if !found {
		wants, err := origin.Of(cfg.Practice, cfg.Clients)
		if err != nil {
			return err
		}
		if err := origin.Keep(c.dataDir, wants); err != nil {
			return fmt.Errorf("--data-dir %s: %w", c.dataDir, err)
		}
	}
	world, err := sim.Start(ctx, cfg)
	if err != nil {
		return fmt.Errorf("simulated world: %w", err)
	}
	defer world.Close()
	settings, err := upstream.Settings(c.dataDir, world)
	if err != nil {
		return err
	}
	n, err := node.New(ctx, c.node(append(p.environ, settings...), p.err))
	if err != nil {
		return err
	}
	return p.perform(ctx, stage{n, world, settings, c.dataDir}, exit)
}

// stage is a suite with the world that it plays in.
type stage struct {
	*node.Node
	world    *sim.World
	settings []string
	dir      string
}

// perform runs the suite and the job on it.
func (p process) perform(ctx context.Context, s stage, exit bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error {
		if err := awaitReady(ctx, s.Node); err != nil {
			return err
		}
		if err := upstream.Tell(ctx, s.world.Remote(), s.URL, s.settings); err != nil {
			return err
		}
		err := demo.Run(ctx, demo.Config{
			BaseURL: s.URL, World: s.world.Remote(), SetupCode: s.SetupCode, Dir: s.dir, Out: p.out, Now: time.Now,
		})
		if err != nil || exit {
			stop()
			return err
		}
		return p.leaveUp(s)
	})
	return group.Wait()
}

// leaveUp says where things are for whoever wants to go on by hand.
func (p process) leaveUp(s stage) error {
	people, err := demo.SignIns(s.dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "\nThe suite is up. Stop it with Ctrl-C.\n\n  sign in          %s/sign-in\n  REST             %s   (%s/openapi.json)\n  simulated world  %s\n  SMS and e-mails  %s/inbox\n\nSign-ins (PINs arrive in the inbox):\n",
		s.URL, s.URL, s.URL, s.world.URL(), s.world.URL())
	for _, line := range people {
		fmt.Fprintln(p.out, "  "+line)
	}
	return nil
}

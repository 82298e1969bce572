package cli

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/allinone/internal/datadir"
	"github.com/concord-suite/concord/allinone/internal/demo"
	"github.com/concord-suite/concord/allinone/internal/node"
	"github.com/concord-suite/concord/allinone/internal/origin"
	"github.com/concord-suite/concord/sim"
)

// clockFactor is how much faster the simulated provider's limits pass: a minute's calls in a second. The main job makes
// a minute and a half's worth of calls, and nobody wants to watch it wait.
const clockFactor = 60

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
	world := sim.Config{Dir: origin.World(c.dataDir), Practice: practice, Clients: clients, ClockFactor: clockFactor}
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
	n, err := node.New(ctx, c.node(append(p.environ, simulated(world)...), p.err))
	if err != nil {
		return err
	}
	return p.perform(ctx, n, world, c.dataDir, exit)
}

// perform runs the suite and the job on it.
func (p process) perform(ctx context.Context, n *node.Node, world *sim.World, dir string, exit bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.Run(ctx) })
	group.Go(func() error {
		if err := awaitReady(ctx, n); err != nil {
			return err
		}
		err := demo.Run(ctx, demo.Config{
			BaseURL: n.URL, World: world.Remote(), SetupCode: n.SetupCode, Dir: dir, Out: p.out, Now: time.Now,
		})
		if err != nil || exit {
			stop()
			return err
		}
		return p.leaveUp(n, world, dir)
	})
	return group.Wait()
}

// leaveUp says where things are for whoever wants to go on by hand.
func (p process) leaveUp(n *node.Node, world *sim.World, dir string) error {
	people, err := demo.SignIns(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "\nThe suite is up. Stop it with Ctrl-C.\n\n  REST             %s   (%s/openapi.json)\n  simulated world  %s\n  SMS and e-mails  %s/inbox\n\nSign-ins (PINs arrive in the inbox):\n",
		n.URL, n.URL, world.URL(), world.URL())
	for _, line := range people {
		fmt.Fprintln(p.out, "  "+line)
	}
	return nil
}

// simulated are the settings that point every service at the simulated world.
func simulated(w *sim.World) []string {
	mailHost, mailPort := hostPort(w.SMTPAddr())
	settings := map[string]string{
		"CONCORD_AUTH_SMS_URL":                      w.URL(),
		"CONCORD_AUTH_SMS_ACCOUNT_SID":              sim.SMSAccount,
		"CONCORD_AUTH_SMS_TOKEN":                    sim.SMSToken,
		"CONCORD_AUTH_SMS_FROM":                     "+61491570110",
		"CONCORD_AUTH_SMS_PER_HOUR":                 "100",
		"CONCORD_AUTH_MAIL_HOST":                    mailHost,
		"CONCORD_AUTH_MAIL_PORT":                    mailPort,
		"CONCORD_AUTH_MAIL_SECURITY":                "plain",
		"CONCORD_DOCUMENTS_MAIL_HOST":               mailHost,
		"CONCORD_DOCUMENTS_MAIL_PORT":               mailPort,
		"CONCORD_DOCUMENTS_MAIL_SECURITY":           "plain",
		"CONCORD_CONNECTOR_XERO_CLIENT_ID":          sim.ClientID,
		"CONCORD_CONNECTOR_XERO_CLIENT_SECRET":      sim.ClientSecret,
		"CONCORD_CONNECTOR_XERO_AUTHORIZE_URL":      w.URL() + "/identity/connect/authorize",
		"CONCORD_CONNECTOR_XERO_IDENTITY_URL":       w.URL(),
		"CONCORD_CONNECTOR_XERO_API_URL":            w.URL(),
		"CONCORD_CONNECTOR_XERO_ISSUER":             w.URL(),
		"CONCORD_CONNECTOR_XERO_ACCOUNTING_API_URL": w.URL() + "/api.xro/2.0/",
		"CONCORD_CONNECTOR_XPM_API_URL":             w.URL() + "/practicemanager/3.1/",
		"CONCORD_CONNECTOR_XPM_LEGACY_API_URL":      w.URL() + "/practicemanager/3.0/",
		"CONCORD_CONNECTOR_BUDGET_MINUTE_WINDOW":    (time.Minute / clockFactor).String(),
		"CONCORD_CONNECTOR_BUDGET_DAY_WINDOW":       (24 * time.Hour / clockFactor).String(),
	}
	var environ []string
	for name, value := range settings {
		environ = append(environ, name+"="+value)
	}
	return environ
}

func hostPort(addr string) (host, port string) {
	u := url.URL{Host: addr}
	return u.Hostname(), u.Port()
}

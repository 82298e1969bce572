package boot

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-suite/concord/platform/boot/internal/identity"
	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/link"
	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/telemetry"
)

// usage is the help of the program.
func (p program) usage() string {
	text := "usage: concord-" + p.name + " [--config FILE] [COMMAND]\n" + commands
	for _, t := range p.tools {
		text += fmt.Sprintf("  %-19s %s\n", t.Word, t.Help)
	}
	return text
}

const commands = `  serve               run the service (the default)
  migrate             bring the database's schema and the bus's streams up to date, and end; waits for both, --wait 5m at most
  config check        check the settings, warn of files they name that cannot be read, and end
  config print        print the settings in force, secrets left out; what is wrong or missing is marked
  config doc          print a table of all settings
  bus permissions     print the accounts and users of the NATS servers, with --trust-domain NAME (default concord)
  identity create FILE      make the service's own key in a new file, and print its public half
  identity trust NAME=FILE  print the trust file of the services given, from public keys or their own
  events list         list the events that were put aside because they could not take effect
  events retry ID     try one again, with --by NAME and --reason TEXT, which are kept
  events discard ID   never try one again, with --by NAME and --reason TEXT
  keys create         make a new keyring file
  keys status         list the keys, how many rows are under each, and which processes have them
  keys rotate         replace the keys: add, promote, wait until every row is sealed anew, retire; goes on where it stopped
  keys add            add keys that only open yet (several replicas: give every one the file, then promote)
  keys promote        seal with the added keys
  keys retire         remove the old keys; with --lose also when rows under them are lost
  keys wrap           encrypt the keyring file with the key in a KMS that --kms URL names
  keys unwrap         write the keyring file in plain
                      (add, promote, retire, wrap, unwrap: with --print the file stays, and what it would be is printed)
  version             print which code this is
  help                print this
`

// command is what the arguments ask for.
type command struct {
	words      string   // "serve", "config check"
	args       []string // what follows the words
	file       string
	by, reason string
	kms        string
	domain     string
	wait       time.Duration
	lose       bool
	print      bool
}

// migrateWait is how long migrate waits for database and bus unless it is told otherwise: servers that are made at the same
// time need a minute or two.
const migrateWait = 5 * time.Minute

// several ends the name of an argument that may come several times.
const several = " …"

// known lists the commands, with the argument that each takes.
var known = map[string]string{
	"serve": "", "migrate": "", "version": "", "help": "", "config check": "", "config print": "", "config doc": "",
	"bus permissions": "", "identity create": "FILE", "identity trust": "NAME=FILE" + several,
	"events list": "", "events retry": "ID", "events discard": "ID",
	"keys create": "", "keys status": "", "keys rotate": "", "keys add": "", "keys promote": "", "keys retire": "",
	"keys wrap": "", "keys unwrap": "",
}

// parse reads the arguments; flags may stand anywhere.
func parse(args []string) (command, error) {
	var c command
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.file, "config", "", "")
	flags.StringVar(&c.by, "by", "", "")
	flags.StringVar(&c.reason, "reason", "", "")
	flags.StringVar(&c.kms, "kms", "", "")
	flags.StringVar(&c.domain, "trust-domain", "concord", "")
	flags.DurationVar(&c.wait, "wait", migrateWait, "")
	flags.BoolVar(&c.lose, "lose", false, "")
	flags.BoolVar(&c.print, "print", false, "")
	words := []string{}
	for {
		switch err := flags.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return command{words: "help"}, nil
		case err != nil:
			return command{}, flagMistake(flags, err)
		}
		if flags.NArg() == 0 {
			break
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
	if len(words) == 0 {
		words = []string{"serve"}
	}
	for n := min(2, len(words)); n > 0; n-- {
		c.words, c.args = strings.Join(words[:n], " "), words[n:]
		if takes, ok := known[c.words]; ok {
			return c, c.argued(takes)
		}
	}
	return command{}, fmt.Errorf("there is no command %q", strings.Join(words, " "))
}

// argued says what is wrong with the number of arguments of a command that takes those.
func (c command) argued(takes string) error {
	one, many := strings.CutSuffix(takes, several)
	switch {
	case takes == "" && len(c.args) > 0:
		return fmt.Errorf("%s takes no argument %q", c.words, c.args[0])
	case takes != "" && len(c.args) == 0:
		return fmt.Errorf("%s needs an argument: %s %s", c.words, c.words, takes)
	case takes != "" && !many && len(c.args) > 1:
		return fmt.Errorf("%s takes one %s, and no argument %q beside it", c.words, one, c.args[1])
	}
	return nil
}

// before does the commands that need no settings.
func (c command) before(proc Process, p program, parts []any) (done bool, code int) {
	var err error
	switch c.words {
	case "help":
		fmt.Fprint(proc.Stdout, p.usage())
	case "version":
		fmt.Fprintf(proc.Stdout, "concord-%s %s\n", p.name, telemetry.ReadBuild())
	case "bus permissions":
		err = topology.WriteAccounts(proc.Stdout, c.domain)
	case "config doc":
		err = config.Doc(proc.Stdout, p.name, parts...)
	case "identity create":
		err = identity.Create(proc.Stdout, c.args[0])
	case "identity trust":
		err = identity.WriteTrust(proc.Stdout, c.args)
	default:
		return false, exitOK
	}
	if err != nil {
		fmt.Fprintf(proc.Stderr, "concord-%s: %v\n", p.name, err)
		return true, exitFailed
	}
	return true, exitOK
}

// run does the other commands, with settings that are checked.
func (c command) run(
	ctx context.Context, proc Process, p program, s settings, parts []any, build func(context.Context, *Runtime) (Service, error),
) error {
	switch c.words {
	case "config check":
		unread, err := config.Unread(p.name, parts...)
		for _, file := range unread {
			fmt.Fprintf(proc.Stderr, "concord-%s: warning: %s\n", p.name, file)
		}
		fmt.Fprintln(proc.Stdout, "the settings are right")
		return err
	case "config print":
		fmt.Fprintf(proc.Stdout, "# %s\n", s.base.stopRule())
		return config.Print(proc.Stdout, parts...)
	case "migrate":
		return p.migrate(ctx, proc, s, c.wait)
	case "serve":
		return p.serve(ctx, proc, s, build)
	case "events list", "events retry", "events discard":
		return c.events(ctx, proc, p, s)
	default:
		return c.keys(ctx, proc, p, s)
	}
}

// migrate prepares what a service needs, for a set-up where services start without the right to do so. It waits for a
// database and a bus that are not there yet: an installation makes them at the same time. Several at once take turns.
func (p program) migrate(ctx context.Context, proc Process, s settings, wait time.Duration) error {
	patience, cancel := context.WithTimeout(ctx, wait) // for what is not there; a migration takes as long as it takes
	defer cancel()
	if s.database != nil {
		err := insist(patience, wait, proc.Stdout, "database", func() (bool, error) {
			err := p.migrateDatabase(ctx, proc, s.database.open(1))
			return heals(s.database.URL.Text(), err), err
		})
		if err != nil {
			return err
		}
	}
	return insist(patience, wait, proc.Stdout, "bus", func() (bool, error) {
		return p.prepareBus(patience, proc, s) // what is not made in time is made by the next that is told to
	})
}

// migrateDatabase brings the schema up to date and says what it did.
func (p program) migrateDatabase(ctx context.Context, proc Process, at sqldb.Config) (err error) {
	db, err := sqldb.Open(ctx, at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := sqldb.Migrate(ctx, db, p.migrations); err != nil {
		return err
	}
	fmt.Fprintln(proc.Stdout, "the database is up to date")
	return nil
}

const (
	// insistEvery is how often a command tries what is not there yet, insistWords how often it says that it still does.
	insistEvery = time.Second
	insistWords = 30 * time.Second
)

// insist tries until it works, or fails in a way that does not heal, or patience ends, which is given for as long as wait; it
// says what it waits for, and that it gave up.
func insist(patience context.Context, wait time.Duration, out io.Writer, what string, try func() (heals bool, err error)) error {
	pause, words := time.NewTicker(insistEvery), time.NewTicker(insistWords)
	defer pause.Stop()
	defer words.Stop()
	for say := true; ; {
		heals, err := try()
		switch {
		case err == nil || !heals:
			return err
		case patience.Err() != nil:
			return gaveUp(patience, wait, err)
		}
		select {
		case <-words.C:
			say = true
		default:
		}
		if say {
			fmt.Fprintf(out, "waiting for the %s: %s\n", what, databaseError{err})
			say = false
		}
		select {
		case <-patience.Done():
			return gaveUp(patience, wait, err)
		case <-pause.C:
		}
	}
}

// gaveUp says why what was waited for did not come, unless it was the command that was stopped.
func gaveUp(patience context.Context, wait time.Duration, err error) error {
	if !errors.Is(patience.Err(), context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("gave up after %s: %w", wait, databaseError{err})
}

// prepareBus makes the streams that the program is to make, and says what it did with each. A file that cannot be read does
// not heal, nor what the servers refuse.
func (p program) prepareBus(ctx context.Context, proc Process, s settings) (heals bool, err error) {
	if err := s.openTLS(p.name, slog.New(slog.DiscardHandler)); err != nil { // what keeps it from the bus is the answer
		return false, err
	}
	bus := s.bus(p.name, p.name+"-migrate")
	monitor := link.NewMonitor(link.Options{Part: p.name, Own: bus.Own})
	defer monitor.Close()
	conn, err := link.Connect(bus, monitor.Options()...)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	lines, err := monitor.Prepare(ctx, conn, p.name, s.base.NATSReplicas)
	if err == nil {
		fmt.Fprintln(proc.Stdout, "the streams of the bus are up to date")
	}
	for _, line := range lines {
		fmt.Fprintln(proc.Stdout, line)
	}
	var refused *jetstream.APIError
	return !errors.As(err, &refused), err
}

// events shows and decides about events that were put aside.
func (c command) events(ctx context.Context, proc Process, p program, s settings) error {
	if s.database == nil {
		return errors.New("this service keeps no events")
	}
	db, err := sqldb.Open(ctx, s.database.open(1))
	if err != nil {
		return err
	}
	defer db.Close()
	if c.words == "events list" {
		return ListParked(ctx, proc.Stdout, db)
	}
	if c.by == "" || c.reason == "" {
		return errors.New("say who decides and why: --by NAME --reason TEXT")
	}
	decide := events.Retry
	if c.words == "events discard" {
		decide = events.Discard
	}
	return decide(ctx, db, p.name, c.args[0], c.by, c.reason)
}

// parkedPage is how many events one query of ListParked reads.
const parkedPage = 500

// ListParked prints the events that consumers put aside in the databases given, one line each: id, consumer, state,
// attempts, subject, time, reason. Payloads are not shown: who runs an installation sees no firm's data.
func ListParked(ctx context.Context, w io.Writer, dbs ...*sqldb.DB) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tCONSUMER\tSTATE\tATTEMPTS\tSUBJECT\tHAPPENED\tREASON")
	for _, db := range dbs {
		if err := addParked(ctx, db, table); err != nil {
			return err
		}
	}
	return table.Flush()
}

func addParked(ctx context.Context, db *sqldb.DB, table io.Writer) error {
	for after := ""; ; {
		page, err := events.ListParked(ctx, db, "", "", after, parkedPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
				e.ID, e.Consumer, e.State, e.Attempts, e.Subject, e.Time.Format(time.RFC3339), e.Reason)
			after = e.ID
		}
		if len(page) < parkedPage {
			return nil
		}
	}
}

package sim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Run is the program concord-sim: it serves a world until ctx ends. It returns the exit code: 0 when
// it was asked to end, 1 when it could not start or end cleanly, 2 when args are wrong.
func Run(ctx context.Context, args []string, now func() time.Time, stdout, stderr io.Writer) int {
	cfg := Config{Now: now}
	flags := flag.NewFlagSet("concord-sim", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&cfg.Dir, "dir", "", "folder for the world's state; empty keeps it in memory")
	flags.StringVar(&cfg.HTTPAddr, "http-addr", "127.0.0.1:8091", "where to serve HTTP")
	flags.StringVar(&cfg.SMTPAddr, "smtp-addr", "127.0.0.1:8025", "where to take mail")
	flags.BoolVar(&cfg.AllowRemote, "allow-remote", false, "permit addresses that are not loopback; whoever reaches them can change the world")
	flags.StringVar(&cfg.Practice, "practice", "", "CSV of clients or folder of recorded exchanges, in place of a generated practice")
	flags.IntVar(&cfg.Clients, "clients", DefaultClients, "active clients of the generated practice")
	flags.IntVar(&cfg.Contacts, "contacts", DefaultContacts, "active contacts of the generated organisation")
	flags.StringVar(&cfg.WebhookURL, "webhook-url", "", "address that is told of changed contacts")
	flags.StringVar(&cfg.WebhookKey, "webhook-key", "", "key of the signatures of what it is told")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "another seed makes another practice")
	flags.Float64Var(&cfg.ClockFactor, "clock-factor", 1, "how much faster than real time call limits pass")
	wrong, err := parseFlags(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "usage: concord-sim [FLAGS]")
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return 0
	}
	if cfg.Clients == 0 { // Config takes zero for the default, a person who types it does not
		cfg.Clients = -1
	}
	if cfg.Contacts == 0 {
		cfg.Contacts = -1
	}
	if cfg.ClockFactor == 0 {
		cfg.ClockFactor = -1
	}
	for _, m := range cfg.Check() {
		unread := func(line string) bool { return strings.Contains(line, "flag -"+m.Flag+":") }
		if !slices.ContainsFunc(wrong, unread) { // what could not be read has no value to be wrong
			wrong = append(wrong, "-"+m.Flag+": "+m.Rule)
		}
	}
	if len(wrong) > 0 {
		for _, line := range wrong {
			fmt.Fprintln(stderr, "concord-sim:", line)
		}
		return 2
	}
	w, err := Start(ctx, cfg)
	if err != nil {
		fmt.Fprintln(stderr, "concord-sim:", err)
		return 1
	}
	announce(ctx, w, cfg, stdout)
	<-ctx.Done()
	if err := w.Close(); err != nil {
		fmt.Fprintln(stderr, "concord-sim:", err)
		return 1
	}
	return 0
}

// announce prints where things are and who can sign in.
func announce(ctx context.Context, w *World, cfg Config, out io.Writer) {
	fmt.Fprintf(out, "Simulated world at %s, mail at %s\n", w.URL(), w.SMTPAddr())
	if cfg.Dir == "" {
		fmt.Fprintln(out, "It is in memory and ends with this program; -dir keeps it.")
	}
	fmt.Fprintf(out, "  inbox      %s/inbox\n  control    %s/control/state\n", w.URL(), w.URL())
	fmt.Fprintf(out, "  consent    %s/identity/connect/authorize (client_id %s, secret %s)\n", w.URL(), ClientID, ClientSecret)
	fmt.Fprintf(out, "  practice   %s/practicemanager/3.1/\n  accounting %s/api.xro/2.0/\n", w.URL(), w.URL())
	state, err := w.Remote().State(ctx)
	if err != nil {
		return // ended before it could be asked
	}
	for _, t := range state.Tenants {
		fmt.Fprintf(out, "  tenant     %s  %s  %s, %d clients, %d archived, %d deleted\n", t.ID, t.Type, t.Name, t.Clients, t.Archived, t.Deleted)
	}
	for _, p := range state.People {
		fmt.Fprintf(out, "  sign-in    %s <%s>\n", p.Name, p.Email)
	}
}

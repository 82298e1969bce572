package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/concord-suite/concord/allinone/internal/datadir"
	"github.com/concord-suite/concord/allinone/internal/node"
	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
)

// events shows and decides about events that a service put aside because they could not take effect. It works beside a
// running suite, which hears of a decision by itself.
func (p process) events(ctx context.Context, args []string) error {
	command, id, args := words(args)
	var dir, service, by, reason string
	f := flag.NewFlagSet("events "+command, flag.ContinueOnError)
	f.StringVar(&dir, "data-dir", "", "the directory that keeps everything")
	if command == "retry" || command == "discard" {
		f.StringVar(&service, "service", "", "whose event it is, the CONSUMER of the list")
		f.StringVar(&by, "by", "", "who decides; it is kept")
		f.StringVar(&reason, "reason", "", "why; it is kept")
	}
	wrong, err := p.parse(f, args)
	if err != nil {
		return err
	}
	switch command {
	case "list":
		if id != "" {
			wrong.add("events list", fmt.Sprintf("takes no argument %q", id))
		}
	case "retry", "discard":
		if id == "" || service == "" || by == "" || reason == "" {
			wrong.add("events "+command, "needs an ID, and --service NAME --by NAME --reason TEXT")
		}
	default:
		wrong.add("events", "needs list, retry ID or discard ID")
	}
	if dir == "" {
		wrong.add("--data-dir", "is required, the directory that keeps everything")
	}
	if err := wrong.err(); err != nil {
		return err
	}
	if command == "list" {
		return p.listEvents(ctx, dir)
	}
	return decideEvent(ctx, dir, service, func(db *sqldb.DB) error {
		if command == "retry" {
			return events.Retry(ctx, db, service, id, by, reason)
		}
		return events.Discard(ctx, db, service, id, by, reason)
	})
}

// words takes the command and its argument off the flags that follow them.
func words(args []string) (command, id string, rest []string) {
	for _, to := range []*string{&command, &id} {
		if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
			*to, args = args[0], args[1:]
		}
	}
	return command, id, args
}

func (p process) listEvents(ctx context.Context, dir string) (err error) {
	var dbs []*sqldb.DB
	defer func() {
		for _, db := range dbs {
			err = errors.Join(err, db.Close())
		}
	}()
	for _, service := range node.Services() {
		db, err := openDatabase(ctx, dir, service)
		if err != nil {
			return err
		}
		dbs = append(dbs, db)
	}
	return boot.ListParked(ctx, p.out, dbs...)
}

func decideEvent(ctx context.Context, dir, service string, decide func(*sqldb.DB) error) error {
	db, err := openDatabase(ctx, dir, service)
	if err != nil {
		return err
	}
	return errors.Join(decide(db), db.Close())
}

// openDatabase opens the database of a service that is there already.
func openDatabase(ctx context.Context, dir, service string) (*sqldb.DB, error) {
	url, err := datadir.Existing(dir, service)
	if err != nil {
		return nil, &wrongUsage{err.Error()}
	}
	db, err := sqldb.Open(ctx, sqldb.Config{URL: url, MaxConns: 1})
	if errors.Is(err, sqldb.ErrBusy) {
		return nil, fmt.Errorf("the database of %s in %s is held by another program, such as a backup; try again when it is done", service, dir)
	}
	return db, err
}

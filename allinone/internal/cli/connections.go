package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/concord-suite/concord/allinone/internal/node"
	"github.com/concord-suite/concord/allinone/internal/upstream"
	"github.com/concord-suite/concord/services/connector"
)

// errUnwell ends a command that found problems: they are told, and the exit code says so.
var errUnwell = errors.New("not all is well")

// connections looks at the connections to providers. It works beside a running suite, and on what a stopped one left.
func (p process) connections(ctx context.Context, args []string) (err error) {
	word, extra, args := words(args)
	var dir, file, address string
	var e connector.Examination
	f := flag.NewFlagSet("connections "+word, flag.ContinueOnError)
	f.StringVar(&dir, "data-dir", "", "the directory that keeps everything")
	f.StringVar(&file, "config", "", "a YAML file with the settings, one section per service")
	registerKMS(f, &address)
	e.Register(f)
	wrong, err := p.parse(f, args)
	if err != nil {
		return err
	}
	switch {
	case word != "doctor":
		wrong.add("connections", "needs doctor")
	case extra != "":
		wrong.add("connections doctor", fmt.Sprintf("takes no argument %q", extra))
	}
	if err := e.Check(); err != nil {
		wrong.add("connections doctor", err.Error())
	}
	if dir == "" {
		wrong.add("--data-dir", "is required, the directory that keeps everything")
	}
	if err := wrong.err(); err != nil {
		return err
	}
	simulated, err := upstream.Kept(dir) // of a demonstration, which made them up itself
	if err != nil {
		return err
	}
	cfg, err := node.ConnectorSettings(append(p.environ, simulated...), file)
	if err != nil {
		return err
	}
	ring, err := keyring(ctx, dir, address)
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, dir, connector.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	vault, err := ring.Open()
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelError}))
	well, err := connector.Doctor(ctx, cfg, connector.Deps{DB: db, Vault: vault, Now: time.Now, Logger: logger}, e, p.out)
	if err == nil && !well {
		return errUnwell
	}
	return err
}

package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/concord-suite/concord/allinone/internal/node"
	"github.com/concord-suite/concord/services/auth"
)

// audit takes the audit ledger out, checks it, and copies it as it grows. It works beside a running suite and on what a
// stopped one left; a file is checked where there is neither.
func (p process) audit(ctx context.Context, args []string) error {
	word, argument, args := words(args)
	f := flag.NewFlagSet("audit "+word, flag.ContinueOnError)
	switch word {
	case "export":
		var e auth.LedgerExport
		e.Register(f)
		return p.ledger(ctx, f, args, argument, func() error { return e.Check() }, func(deps auth.Deps) (bool, error) { return true, e.Run(ctx, deps, p.out) })
	case "follow":
		var l auth.LedgerFollow
		l.Register(f)
		return p.ledger(ctx, f, args, argument, func() error { return l.Check() }, func(deps auth.Deps) (bool, error) { return true, l.Run(ctx, deps, p.out) })
	case "verify":
		c := auth.LedgerCheck{File: argument}
		c.Register(f)
		run := func(deps auth.Deps) (bool, error) { return c.Run(ctx, deps, p.out) }
		if argument == "" {
			return p.ledger(ctx, f, args, "", func() error { return c.Check() }, run)
		}
		wrong, err := p.parse(f, args)
		if err != nil {
			return err
		}
		if err := c.Check(); err != nil {
			wrong.add("audit verify", err.Error())
		}
		if err := wrong.err(); err != nil {
			return err
		}
		return outcome(run(auth.Deps{}))
	}
	return &wrongUsage{"audit needs export, verify or follow"}
}

// ledger runs a command on the database of auth in a data directory.
func (p process) ledger(
	ctx context.Context, f *flag.FlagSet, args []string, extra string, check func() error, run func(auth.Deps) (bool, error),
) (err error) {
	var dir, address string
	f.StringVar(&dir, "data-dir", "", "the directory that keeps everything")
	registerKMS(f, &address)
	wrong, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if extra != "" {
		wrong.add(f.Name(), fmt.Sprintf("takes no argument %q", extra))
	}
	if err := check(); err != nil {
		wrong.add(f.Name(), err.Error())
	}
	if dir == "" {
		wrong.add("--data-dir", "is required, the directory that keeps everything")
	}
	if err := wrong.err(); err != nil {
		return err
	}
	deps, done, err := authDeps(ctx, dir, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return outcome(run(deps))
}

// outcome is the end of a command that found whether all is well, and said so.
func outcome(well bool, err error) error {
	if err == nil && !well {
		return errUnwell
	}
	return err
}

// authDeps opens what is auth's in a data directory.
func authDeps(ctx context.Context, dir, address string) (deps auth.Deps, done func() error, err error) {
	ring, err := keyring(ctx, dir, address)
	if err != nil {
		return deps, nil, err
	}
	db, err := openDatabase(ctx, dir, auth.Name)
	if err != nil {
		return deps, nil, err
	}
	vault, err := ring.Open()
	if err != nil {
		return deps, nil, errors.Join(err, db.Close())
	}
	return auth.Deps{DB: db, Vault: vault, Now: time.Now}, db.Close, nil
}

// evidence writes what an assessor asks for about a firm.
func (p process) evidence(ctx context.Context, args []string) (err error) {
	_, extra, args := words(append([]string{"evidence"}, args...))
	var file string
	var e auth.EvidenceRequest
	f := flag.NewFlagSet("evidence", flag.ContinueOnError)
	f.StringVar(&file, "config", "", "a YAML file with the settings, one section per service")
	e.Register(f)
	return p.ledger(ctx, f, args, extra, func() error { return e.Check() }, func(deps auth.Deps) (bool, error) {
		cfg, err := node.AuthSettings(p.environ, file)
		if err != nil {
			return false, err
		}
		return auth.WriteEvidence(ctx, cfg, deps, e, p.out)
	})
}

// operator makes a recovery code for an operator who lost every factor, beside a running suite or on what a stopped one left.
func (p process) operator(ctx context.Context, args []string) error {
	word, extra, args := words(args)
	if word != "recover" {
		return &wrongUsage{"operator needs recover"}
	}
	var file string
	var r auth.OperatorRecovery
	f := flag.NewFlagSet("operator recover", flag.ContinueOnError)
	f.StringVar(&file, "config", "", "a YAML file with the settings, one section per service")
	r.Register(f)
	return p.ledger(ctx, f, args, extra, func() error { return r.Check() }, func(deps auth.Deps) (bool, error) {
		cfg, err := node.AuthSettings(p.environ, file)
		if err != nil {
			return false, err
		}
		return true, r.Run(ctx, cfg, deps, p.out)
	})
}

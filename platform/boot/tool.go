package boot

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

// Tool is a command of a program's own, beside those that every program has. It stands first among the arguments, its
// flags follow. It works beside running replicas.
type Tool struct {
	// Word is the command, Help says in a line what it does.
	Word, Help string
	// Flags registers the command's flags and returns what checks and runs it. It is called once.
	Flags func(f *flag.FlagSet) ToolRun
}

// ToolRun is a command whose flags were read.
type ToolRun interface {
	// Check says what is wrong with the flags.
	Check() error
	// Run does the command. It reports whether all is well: the exit code is 1 when it is not.
	Run(ctx context.Context, env ToolEnv) (well bool, err error)
}

// ToolEnv is what a command is given.
type ToolEnv struct {
	// DB and Vault are the program's, nil when it has none.
	DB    *sqldb.DB
	Vault *vault.Vault
	// Config is the pointer to the service's settings, checked.
	Config any
	Logger *slog.Logger
	Out    io.Writer
}

// WithTool gives the program a command of its own.
func WithTool(t Tool) Option { return func(p *program) { p.tools = append(p.tools, t) } }

// errUnwell ends a command that did what it was asked to, and found that not all is well.
var errUnwell = errors.New("not all is well")

// tool finds the command among the arguments and reads its flags. It is nil for any other command.
func (p program) tool(args []string) (run ToolRun, file string, err error) {
	for _, t := range p.tools {
		if len(args) == 0 || args[0] != t.Word {
			continue
		}
		f := flag.NewFlagSet(t.Word, flag.ContinueOnError)
		f.SetOutput(io.Discard)
		f.StringVar(&file, "config", "", "a file with the settings")
		run := t.Flags(f)
		if err := f.Parse(args[1:]); err != nil {
			return nil, "", err
		}
		if f.NArg() > 0 {
			return nil, "", fmt.Errorf("%s takes no argument %q", t.Word, f.Arg(0))
		}
		return run, file, run.Check()
	}
	return nil, "", nil
}

// runTool opens what the command works on and runs it.
func (p program) runTool(ctx context.Context, proc Process, s settings, run ToolRun, cfg any) (err error) {
	env := ToolEnv{Config: cfg, Out: proc.Stdout, Logger: slog.New(slog.NewTextHandler(proc.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))}
	if s.database != nil {
		if env.DB, err = sqldb.Open(ctx, sqldb.Config{URL: s.database.URL, MaxConns: 2}); err != nil {
			return err
		}
		defer env.DB.Close()
	}
	if s.keyring != nil {
		file, err := s.keyringFile(ctx, p)
		if err != nil {
			return err
		}
		if env.Vault, err = file.Open(); err != nil {
			return err
		}
	}
	well, err := run.Run(ctx, env)
	if err == nil && !well {
		err = errUnwell
	}
	return err
}

package boot

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

// Tool is a command of a program's own, beside those that every program has. It stands first among the arguments, its
// flags follow. It works beside running replicas.
type Tool struct {
	// Word is the command, of one word or two ("audit verify"); Help says in a line what it does.
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

// Argued is a ToolRun that takes one argument beside its flags, which may stand before, between and behind them.
type Argued interface {
	// Argue takes the argument. It is called at most once, before Check.
	Argue(text string)
}

// Detached is a ToolRun that may need nothing of the program: then it works on any machine, without settings.
type Detached interface {
	// Detached says so once the flags are checked. The command gets no database, vault and settings then.
	Detached() bool
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
		words := strings.Fields(t.Word)
		if len(args) < len(words) || !slices.Equal(args[:len(words)], words) {
			continue
		}
		f := flag.NewFlagSet(t.Word, flag.ContinueOnError)
		f.SetOutput(io.Discard)
		f.StringVar(&file, "config", "", "a file with the settings")
		run := t.Flags(f)
		if err := t.read(f, run, args[len(words):]); err != nil {
			return nil, "", err
		}
		return run, file, run.Check()
	}
	return nil, "", nil
}

// read reads the flags, and the argument of a command that takes one.
func (t Tool) read(f *flag.FlagSet, run ToolRun, args []string) error {
	argued, takes := run.(Argued)
	for {
		if err := flagMistake(f, f.Parse(args)); err != nil || f.NArg() == 0 {
			return err
		}
		if !takes {
			return fmt.Errorf("%s takes no argument %q", t.Word, f.Arg(0))
		}
		argued.Argue(f.Arg(0))
		args, takes = f.Args()[1:], false
	}
}

// flagMistake words an error of reading flags in plain words.
func flagMistake(f *flag.FlagSet, err error) error {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return errors.New(config.FlagMistake(f, err).String())
}

// detached tells whether a command needs nothing of the program.
func detached(run ToolRun) bool {
	d, may := run.(Detached)
	return may && d.Detached()
}

// toolLogger is the logger of a command: it says what went wrong, on standard error.
func toolLogger(proc Process) *slog.Logger {
	return slog.New(slog.NewTextHandler(proc.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// runTool opens what the command works on and runs it.
func (p program) runTool(ctx context.Context, proc Process, s settings, run ToolRun, cfg any) (err error) {
	env := ToolEnv{Config: cfg, Out: proc.Stdout, Logger: toolLogger(proc)}
	if s.database != nil {
		if env.DB, err = sqldb.Open(ctx, s.database.open(2)); err != nil {
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
			return p.keyringError(err, true)
		}
	}
	return outcome(run.Run(ctx, env))
}

// runDetached runs a command that needs nothing.
func runDetached(ctx context.Context, proc Process, run ToolRun) error {
	return outcome(run.Run(ctx, ToolEnv{Out: proc.Stdout, Logger: toolLogger(proc)}))
}

func outcome(well bool, err error) error {
	if err == nil && !well {
		return errUnwell
	}
	return err
}

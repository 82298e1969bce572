package auth

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/services/auth/internal/api/trail"
)

// LedgerExport says which ledger is exported, and where to.
type LedgerExport struct {
	// Firm is the id or name of a firm; "installation" is what happened outside every firm.
	Firm string
	// Out is the file; "-" is standard output.
	Out string
	// From is the first entry, 0 or 1 for the beginning.
	From int64
}

// Installation names, in place of a firm, the chain of what happened outside every firm.
const Installation = "installation"

// Register adds the flags to a command.
func (e *LedgerExport) Register(f *flag.FlagSet) {
	f.StringVar(&e.Firm, "firm", "", "the firm, by its id or its name; installation for what happened outside every firm")
	f.StringVar(&e.Out, "out", "", "the file; - for standard output")
	f.Int64Var(&e.From, "from", 0, "the first entry, by its place in the chain; all unless set")
}

// Check says what is wrong with the flags.
func (e LedgerExport) Check() error {
	switch {
	case e.Firm == "":
		return errors.New("say whose ledger: --firm FIRM, or --firm installation")
	case e.Out == "":
		return errors.New("say where to: --out FILE, or --out - for standard output")
	case e.From < 0:
		return errors.New("--from: the first entry has place 1")
	}
	return nil
}

// Run writes the file whole or not at all. Of deps it needs the database, the vault and the clock.
func (e LedgerExport) Run(ctx context.Context, deps Deps, stdout io.Writer) error {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	chain, err := chainOf(ctx, deps, e.Firm)
	if err != nil {
		return err
	}
	if e.Out == "-" {
		return ExportLedger(ctx, deps, chain, e.From, stdout)
	}
	return writeFile(e.Out, func(w io.Writer) error { return ExportLedger(ctx, deps, chain, e.From, w) })
}

func chainOf(ctx context.Context, deps Deps, firm string) (string, error) {
	if firm == Installation {
		return "", nil
	}
	return FindFirm(ctx, deps.DB, firm)
}

// LedgerCheck says what is checked: a file, or the ledgers of a database.
type LedgerCheck struct {
	// File is the transcript; empty for the database.
	File string
	// Firm is the id of the firm the file has to be of, or that of the ledger; empty for any. In the database it may be the
	// name, or "installation".
	Firm string
	// Key is the id of the key that must have signed the file; empty for the one it names itself.
	Key string
}

// Register adds the flags to a command.
func (c *LedgerCheck) Register(f *flag.FlagSet) {
	f.StringVar(&c.Firm, "firm", "", "the id of the firm the ledger has to be of; of any firm unless set")
	f.StringVar(&c.Key, "key", "", "the id of the key that must have signed the file, from the evidence pack")
}

// Check says what is wrong with the flags.
func (c LedgerCheck) Check() error {
	switch {
	case c.File == "" && c.Key != "":
		return errors.New("--key goes with a FILE: a database is not signed")
	case c.File != "" && c.Firm != "" && uuid.Validate(c.Firm) != nil:
		return errors.New("--firm is the id of a firm here: a file knows no names")
	}
	return nil
}

// Run checks, says to w what it finds, and reports whether all is as it was. A file needs nothing of deps; a database is all
// it needs.
func (c LedgerCheck) Run(ctx context.Context, deps Deps, w io.Writer) (well bool, err error) {
	if c.File != "" {
		f, err := os.Open(c.File)
		if err != nil {
			return false, err
		}
		defer f.Close()
		return CheckTranscript(f, TranscriptCheck{Firm: c.Firm, Key: c.Key}, w)
	}
	if c.Firm == "" {
		return CheckLedger(ctx, deps, nil, w)
	}
	chain, err := chainOf(ctx, deps, c.Firm)
	if err != nil {
		return false, err
	}
	return CheckLedger(ctx, deps, &chain, w)
}

// LedgerFollow says what is copied elsewhere, and how far that has come.
type LedgerFollow struct {
	// Firm narrows it to one firm, or "installation"; empty for all.
	Firm string
	// Out is a file that lines are added to; empty for standard output.
	Out string
	// State is the file that remembers how far each ledger was copied.
	State string
	// Once ends when everything was copied, instead of waiting for more.
	Once bool
}

// Register adds the flags to a command.
func (l *LedgerFollow) Register(f *flag.FlagSet) {
	f.StringVar(&l.Firm, "firm", "", "the firm, by its id or its name; installation for what happened outside every firm; all unless set")
	f.StringVar(&l.Out, "out", "", "a file that lines are added to; standard output unless set")
	f.StringVar(&l.State, "state", "", "the file that remembers how far it is copied")
	f.BoolVar(&l.Once, "once", false, "end when everything is copied, instead of waiting for more")
}

// Check says what is wrong with the flags.
func (l LedgerFollow) Check() error {
	if l.State == "" {
		return errors.New("say where to remember how far it is copied: --state FILE")
	}
	return nil
}

// followEvery is how often it is looked for more: a copy that is a second behind is good enough for its purpose.
const followEvery = time.Second

// Run copies entries as lines of JSON, each at least once, until ctx ends or all is copied. Of deps it needs the database.
func (l LedgerFollow) Run(ctx context.Context, deps Deps, stdout io.Writer) (err error) {
	places, err := l.remembered()
	if err != nil {
		return err
	}
	var only *string
	if l.Firm != "" {
		chain, err := chainOf(ctx, deps, l.Firm)
		if err != nil {
			return err
		}
		only = &chain
	}
	out, done := stdout, func() error { return nil }
	if l.Out != "" {
		f, err := os.OpenFile(l.Out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		out, done = f, f.Sync
		defer func() { err = errors.Join(err, f.Close()) }()
	}
	wait := followEvery
	if l.Once {
		wait = 0
	}
	return trail.Follow(ctx, deps.DB, only, places, out, func(p trail.Places) error {
		// The lines first: what is lost in between is written again, and not forgotten.
		if err := done(); err != nil {
			return err
		}
		return writeFile(l.State, func(w io.Writer) error { return json.NewEncoder(w).Encode(p) })
	}, wait)
}

func (l LedgerFollow) remembered() (trail.Places, error) {
	places := trail.Places{}
	text, err := os.ReadFile(filepath.Clean(l.State))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return places, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(text, &places); err != nil {
		return nil, fmt.Errorf("%s is not a file that this command has written: delete it to copy everything again", l.State)
	}
	return places, nil
}

package auth

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/telemetry"
	"github.com/concord-suite/concord/services/auth/internal/api/trail"
	"github.com/concord-suite/concord/services/auth/internal/ledger/transcript"
	"github.com/concord-suite/concord/services/auth/internal/store/chain"
)

// TranscriptCheck says what a transcript has to be.
type TranscriptCheck struct {
	// Firm is the id of the firm it has to be of; empty for any.
	Firm string
	// Key is the id of the key that must have signed it; empty for the one it names itself.
	Key string
}

// CheckTranscript checks the file of an exported ledger and writes what it finds. It needs neither database nor network. It
// reports whether the file is as it was signed.
func CheckTranscript(r io.Reader, c TranscriptCheck, w io.Writer) (well bool, err error) {
	report, err := transcript.Verify(r, transcript.Options{Words: trail.Words, Chain: c.Firm, AnyChain: c.Firm == "", Key: c.Key})
	if err != nil {
		return false, fmt.Errorf("reading the transcript: %w", err)
	}
	if p := report.Problem; p != nil {
		_, err := fmt.Fprintf(w, "BROKEN  %s, line %d: %s\n", p.Kind, p.Line, p.Text)
		if err == nil && report.Entries > 0 {
			_, err = fmt.Fprintf(w, "before that, entries %d to %d of %s are in order\n", report.First, report.Last, nameOf(report.Chain))
		}
		return false, err
	}
	fmt.Fprintf(w, "whole: the ledger of %s, %s\n", nameOf(report.Chain), span(report))
	if report.Unreadable > 0 {
		fmt.Fprintf(w, "%d entries were written by a later release; their bytes are in order, their words were not compared\n", report.Unreadable)
	}
	_, err = fmt.Fprintf(w, "signed %s by the key %s\n", report.Created.Format("2006-01-02 15:04:05 MST"), report.KeyID)
	if err == nil && c.Key == "" {
		_, err = fmt.Fprintln(w, "the key stands in the file: that it is the suite's shows when the evidence pack names the same id (or give it by --key)")
	}
	return true, err
}

func span(r transcript.Report) string {
	switch {
	case r.Entries == 0 && r.First == 1:
		return "which is empty"
	case r.Entries == 0:
		return fmt.Sprintf("nothing after entry %d, hash %s", r.Last, r.Hash)
	}
	return fmt.Sprintf("entries %d to %d, last hash %s", r.First, r.Last, r.Hash)
}

func nameOf(chain string) string {
	if chain == "" {
		return "the installation"
	}
	return "firms/" + chain
}

// ExportLedger writes the transcript of a firm's ledger, or with an empty id of what happened outside every firm, from a
// place on. Of deps it needs the database, the vault and the clock.
func ExportLedger(ctx context.Context, deps Deps, firm string, first int64, w io.Writer) error {
	keys := trail.Keys{DB: deps.DB, Vault: deps.Vault, Now: deps.Now}
	err := keys.Export(ctx, w, firm, first, telemetry.ReadBuild().String())
	if errors.Is(err, trail.ErrBeyond) {
		return errors.New("the ledger is not that long")
	}
	return err
}

// CheckLedger walks the chains of a database, of one firm or with nil of all, and writes what it finds. It reports whether
// all are whole. Of deps it needs the database.
func CheckLedger(ctx context.Context, deps Deps, firm *string, w io.Writer) (well bool, err error) {
	var heads []chain.Named
	if err := deps.DB.Read(ctx, func(tx *sqldb.Tx) (err error) { heads, err = chain.Heads(tx); return err }); err != nil {
		return false, err
	}
	well = true
	looked := 0
	for _, h := range heads {
		if firm != nil && h.Chain != *firm {
			continue
		}
		looked++
		err := deps.DB.Read(ctx, func(tx *sqldb.Tx) error {
			walk, head, err := chain.Walk(tx, h.Chain, trail.Findable)
			if err != nil {
				return err
			}
			if walk.Broken != 0 {
				well = false
				_, err = fmt.Fprintf(w, "BROKEN  %s: entry %d is the first that does not fit, of %d\n", nameOf(h.Chain), walk.Broken, walk.Entries)
				return err
			}
			_, err = fmt.Fprintf(w, "whole: %s, %d entries, last hash %x\n", nameOf(h.Chain), walk.Entries, head.Hash)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	if looked == 0 {
		_, err = fmt.Fprintln(w, "there are no entries")
	}
	return well, err
}

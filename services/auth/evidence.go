package auth

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/addin"
	"github.com/concord-suite/concord/services/auth/internal/api"
	"github.com/concord-suite/concord/services/auth/internal/api/pack"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store/figures"
	"github.com/concord-suite/concord/services/auth/internal/tlsscan"
)

// EvidenceRequest says of whom evidence is written, and where.
type EvidenceRequest struct {
	// Firm is the id of the firm, or its name.
	Firm string
	// Dir is the folder the files go into.
	Dir string
	// Scan is the public address to look at, https://host; empty for the one of the settings when it is https, "none" for
	// none.
	Scan string
}

// Register adds the flags to a command.
func (e *EvidenceRequest) Register(f *flag.FlagSet) {
	f.StringVar(&e.Firm, "firm", "", "the firm, by its id or its name")
	f.StringVar(&e.Dir, "out", ".", "the folder the two files go into")
	f.StringVar(&e.Scan, "scan", "", "the public address to look at, https://host; the one of the settings unless set; none for none")
}

// noScan is asked for by name.
const noScan = "none"

// Check says what is wrong with the flags.
func (e EvidenceRequest) Check() error {
	if strings.TrimSpace(e.Firm) == "" {
		return errors.New("say which firm, by its id or its name: --firm FIRM")
	}
	if e.Scan == "" || e.Scan == noScan {
		return nil
	}
	if _, err := tlsscan.Target(e.Scan); err != nil {
		return fmt.Errorf("--scan: %w", err)
	}
	return nil
}

// WriteEvidence writes the evidence of a firm as a page and as JSON, and says to w where. It works beside running replicas: of
// deps it needs the database, the vault and the clock. It reports whether the ledger is whole and the address, if one was
// looked at, as the security standards ask.
func WriteEvidence(ctx context.Context, cfg Config, deps Deps, e EvidenceRequest, w io.Writer) (well bool, err error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	firm, err := FindFirm(ctx, deps.DB, e.Firm)
	if err != nil {
		return false, err
	}
	server := &api.Server{DB: deps.DB, Vault: deps.Vault, Now: deps.Now, Site: strings.TrimSuffix(cfg.PublicURL.String(), "/")}
	p := pack.Pack{Limits: limits(cfg), Transport: transport(cfg)}
	if p.Evidence, err = server.Evidence(ctx, firm); err != nil {
		return false, err
	}
	err = deps.DB.Read(ctx, func(tx *sqldb.Tx) error {
		c, err := figures.CoverageOf(tx, firm, account.Staff, cfg.PublicURL.Hostname(), deps.Now())
		p.Administrators = c.Administrators
		return err
	})
	if err != nil {
		return false, err
	}
	well = p.Evidence.GetLedger().GetIntact()
	if address := e.address(cfg); address != "" {
		target, err := tlsscan.Target(address)
		if err != nil {
			return false, err
		}
		if p.Scan, err = tlsscan.Scan(ctx, target, nil, deps.Now); err != nil {
			p.ScanFailed = err.Error()
		}
		well = well && err == nil && len(p.Scan.Findings) == 0
	}
	name := filepath.Join(e.Dir, "evidence-"+firm+"-"+deps.Now().UTC().Format(time.DateOnly))
	for suffix, write := range map[string]func(io.Writer) error{".html": p.HTML, ".json": p.JSON} {
		if err := writeFile(name+suffix, write); err != nil {
			return false, err
		}
	}
	return well, tell(w, p, name)
}

func (e EvidenceRequest) address(cfg Config) string {
	switch {
	case e.Scan == noScan:
		return ""
	case e.Scan == "" && cfg.PublicURL.Scheme == "https":
		return "https://" + cfg.PublicURL.Host
	}
	return e.Scan
}

// writeFile writes a whole file or none.
func writeFile(path string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".evidence-*") // which only its owner reads
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func tell(w io.Writer, p pack.Pack, name string) error {
	e := p.Evidence
	state := "whole"
	if !e.GetLedger().GetIntact() {
		state = "BROKEN"
	}
	fmt.Fprintf(w, "%s, %d staff of %d need two factors; ledger %s, %d entries, last hash %s\n", e.GetFirmDisplayName(),
		e.GetStaff().GetTwoFactor(), e.GetStaff().GetActive(), state, e.GetLedger().GetEntries(), e.GetLedger().GetHeadHash())
	switch {
	case p.ScanFailed != "":
		fmt.Fprintf(w, "the public address could not be scanned: %s\n", p.ScanFailed)
	case p.Scan == nil:
		fmt.Fprintln(w, "no public address was scanned; give one by --scan https://host")
	default:
		for _, finding := range p.Scan.Findings {
			fmt.Fprintf(w, "%s: %s\n", p.Scan.Address, finding)
		}
	}
	_, err := fmt.Fprintf(w, "written: %s.html and %[1]s.json\n", name)
	return err
}

// FindFirm finds a firm by its id or its name, and answers its id.
func FindFirm(ctx context.Context, db *sqldb.DB, text string) (string, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "firms/")
	var ids []string
	err := db.Read(ctx, func(tx *sqldb.Tx) (err error) { ids, err = figures.FirmID(tx, text); return err })
	switch {
	case err != nil:
		return "", err
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) == 0 && uuid.Validate(text) == nil:
		return "", fmt.Errorf("there is no firm with the id %s", text)
	case len(ids) == 0:
		return "", fmt.Errorf("there is no firm of the name %q", text)
	}
	return "", fmt.Errorf("several firms have the name %q; give the id of one of them: %s", text, strings.Join(ids, ", "))
}

// limits are those in force.
func limits(cfg Config) []pack.Fact {
	return []pack.Fact{
		{What: "longest session", Value: pack.Span(session.Life)},
		{What: "session locks after", Value: pack.Span(session.Idle) + " without use, unlocked by the password within the " + pack.Span(session.Life)},
		{What: "wrong passwords at the lock before the session ends", Value: fmt.Sprint(session.MaxUnlocks)},
		{What: "trusted devices", Value: "none: each sign-in asks for the second factor"},
		{What: "step-up counts for", Value: pack.Span(session.StepUp)},
		{What: "PIN is good for", Value: pack.Span(factor.Life) + ", once, for the request it was made for"},
		{What: "wrong answers that end a challenge", Value: fmt.Sprint(factor.MaxTries)},
		{What: "wrong codes in a row that switch PINs and codes off", Value: fmt.Sprint(factor.MaxFailures) + ", over all channels and challenges, with growing waits before"},
		{What: "text messages of one account in an hour", Value: fmt.Sprint(cfg.SMS.PerHour)},
		{What: "countries text messages go to", Value: strings.Join(cfg.SMS.Countries, ", ")},
		{What: "password", Value: fmt.Sprintf("%d characters at least beside a second factor, %d alone; up to %d bytes; no common, breached or guessable one", password.MinLength, password.MinAlone, password.MaxLength)},
		{What: "access token of an Add-In", Value: pack.Span(addin.AccessLife) + ", refreshed within the sign-in it came from"},
		{What: "key that signs internal tokens is replaced", Value: "every " + pack.Span(cfg.KeyRotation)},
	}
}

// transport is what the program is set up for.
func transport(cfg Config) []pack.Fact {
	return []pack.Fact{
		{What: "public address", Value: cfg.PublicURL.Scheme + "://" + cfg.PublicURL.Host},
		{What: "public TLS", Value: "ends at the proxy in front of the gateway; scan it below for what it takes"},
		{What: "between services", Value: "TLS 1.3 only, both sides with a certificate of the installation's own authority; plain text on loopback addresses and inside one process alone"},
		{What: "to providers, SMS and mail servers", Value: "TLS 1.2 at least, certificates checked"},
		{What: "cookies", Value: "Secure, HttpOnly, SameSite, with the __Host- prefix when the public address is https"},
	}
}

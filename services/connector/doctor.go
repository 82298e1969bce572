package connector

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api"
	"github.com/concord-suite/concord/services/connector/internal/api/doctor"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Examination says which connections are looked at, and how what was found is written.
type Examination struct {
	// Firm and Connection are ids; empty looks at those of all firms, or at all.
	Firm, Connection string
	// JSON writes one DiagnoseConnectionResponse per line instead of a table.
	JSON bool
}

// Register adds the flags to a command.
func (e *Examination) Register(f *flag.FlagSet) {
	f.StringVar(&e.Firm, "firm", "", "the id of the firm whose connections are looked at; all firms' unless set")
	f.StringVar(&e.Connection, "connection", "", "the id of the connection that is looked at; all unless set")
	f.BoolVar(&e.JSON, "json", false, "write one JSON document per connection instead of a table")
}

// Check says what is wrong with the flags.
func (e Examination) Check() error {
	for name, id := range map[string]string{"--firm": e.Firm, "--connection": e.Connection} {
		if id != "" && uuid.Validate(id) != nil {
			return fmt.Errorf("%s: %q is no id", name, id)
		}
	}
	return nil
}

// ErrNoSuchConnection says that there is nothing to examine of what was asked for.
var ErrNoSuchConnection = errors.New("there is no such connection")

// Doctor looks at connections from all sides and writes what it finds. It works beside running replicas: of deps it needs
// the database and the vault. It reports whether no problem was found; warnings are none.
func Doctor(ctx context.Context, cfg Config, deps Deps, e Examination, w io.Writer) (well bool, err error) {
	deps = deps.complete()
	s := assemble(cfg, deps)
	d := doctor.Doctor{DB: deps.DB, Providers: s.providers, Upstream: s.upstream, Custody: s.custody, Now: deps.Now}
	write, flush := table(w)
	if e.JSON {
		write, flush = lines(w)
	}
	well = true
	looked := 0
	for after := ""; ; {
		refs, err := page(ctx, deps.DB, e, after)
		if err != nil {
			return false, err
		}
		for _, ref := range refs {
			c, findings, err := d.Examine(ctx, ref)
			if err != nil {
				return false, err
			}
			looked++
			well = well && (len(findings) == 0 || findings[0].Level < doctor.Problem)
			if err := write(c, api.Diagnosis(c, findings)); err != nil {
				return false, err
			}
			after = ref.ID
		}
		if len(refs) < connectionsPage || e.Connection != "" {
			break
		}
	}
	if looked == 0 && e.Connection != "" {
		return false, ErrNoSuchConnection
	}
	return well, flush(looked)
}

// connectionsPage is how many connections are found at a time: looking at one takes seconds at worst.
const connectionsPage = 100

// page finds the next connections to look at.
func page(ctx context.Context, db *sqldb.DB, e Examination, after string) (refs []connection.Ref, err error) {
	err = db.Read(ctx, func(tx *sqldb.Tx) error {
		if e.Connection != "" {
			refs, err = store.ConnectionOf(tx, e.Firm, e.Connection)
			return err
		}
		refs, err = store.ConnectionsAfter(tx, e.Firm, after, connectionsPage)
		return err
	})
	return refs, err
}

type writer = func(connection.Connection, *connectorv1.DiagnoseConnectionResponse) error

// lines writes one JSON document per connection.
func lines(w io.Writer) (writer, func(int) error) {
	return func(_ connection.Connection, r *connectorv1.DiagnoseConnectionResponse) error {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r)
		if err != nil {
			return err
		}
		var plain json.RawMessage = text // protojson varies its blanks on purpose
		if text, err = json.Marshal(plain); err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", text)
		return err
	}, func(int) error { return nil }
}

// table writes for people: one block per connection, the worst first.
func table(w io.Writer) (writer, func(int) error) {
	return func(c connection.Connection, r *connectorv1.DiagnoseConnectionResponse) error {
			fmt.Fprintf(w, "%s  %s %s\n", r.GetConnection().GetName(), c.Provider, c.TenantName)
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			for _, f := range r.GetFindings() {
				level := strings.TrimPrefix(f.GetLevel().String(), "FINDING_LEVEL_")
				fmt.Fprintf(t, "  %s\t%s\t%s\n", level, f.GetSubject(), f.GetDescription())
				if f.GetAction() != "" {
					fmt.Fprintf(t, "  \t\t-> %s\n", f.GetAction())
				}
			}
			fmt.Fprintln(t)
			return t.Flush()
		}, func(looked int) error {
			if looked > 0 {
				return nil
			}
			_, err := fmt.Fprintln(w, "there are no connections")
			return err
		}
}

// complete fills in what may be left out.
func (d Deps) complete() Deps {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Client == nil {
		d.Client = transport.NewClient()
	}
	return d
}

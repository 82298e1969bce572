package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/match"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/legacies"
)

// ImportLegacyLinks implements LegacyService.
func (s *legacyLinks) ImportLegacyLinks(
	ctx context.Context, req *syncv1.ImportLegacyLinksRequest,
) (*syncv1.ImportLegacyLinksResponse, error) {
	ids, err := parse("parent", connectionPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	firm, connection := ids[0], ids[1]
	if err := s.know(ctx, firm, connection); err != nil {
		return nil, err
	}
	in := imported(firm, req)
	if req.GetValidateOnly() {
		var resp *syncv1.ImportLegacyLinksResponse
		err := s.DB.Read(ctx, func(tx *sqldb.Tx) error {
			_, resp, err = in.resolve(tx, connection)
			return err
		})
		return resp, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.ImportLegacyLinksResponse, error) {
		// Behind the lock, so that a run that meets the same client at this moment finds it and does not make it again.
		if err := store.LockFirm(tx, firm); err != nil {
			return nil, err
		}
		out, resp, err := in.resolve(tx, connection)
		if err != nil {
			return nil, err
		}
		var made []store.NewClient
		for id, fields := range out.Made {
			made = append(made, store.NewClient{
				ID: id, Fields: fields, Actor: actor(ctx), Summary: "imported with the clients of a legacy connection",
				Resource: store.Name(firm, "connections", connection),
			})
		}
		slices.SortFunc(made, func(a, b store.NewClient) int { return strings.Compare(a.ID, b.ID) })
		if err := store.InsertClients(tx, firm, s.Now(), made); err != nil {
			return nil, err
		}
		return resp, legacies.Put(tx, out.Links)
	})
}

// rowsOf are the rows of an import, with what is wrong about them alone.
type rowsOf struct {
	firm     string
	rows     []legacy.Row
	mistakes []legacy.Mistake
}

func imported(firm string, req *syncv1.ImportLegacyLinksRequest) *rowsOf {
	in := &rowsOf{firm: firm}
	if rows := req.GetRows(); rows != nil {
		for i, r := range rows.GetRows() {
			in.rows = append(in.rows, legacy.Row{
				Place: fmt.Sprintf("row %d", i+1), At: fmt.Sprintf("rows.rows[%d]", i), Client: r.GetClient(),
				LegacyID: r.GetLegacyId(), Code: r.GetCode(), Name: r.GetDisplayName(),
			})
		}
	} else {
		in.rows, in.mistakes = legacy.ParseCSV(req.GetCsv())
	}
	in.mistakes = append(in.mistakes, legacy.Check(in.rows, client.Text)...)
	for i := range in.rows {
		in.name(&in.rows[i])
	}
	return in
}

// name turns the resource name of a row's client into its id. Another firm's client does not exist.
func (in *rowsOf) name(r *legacy.Row) {
	if r.Client == "" {
		return
	}
	ids, err := names.Parse(clientPattern, r.Client)
	switch {
	case err != nil:
		at := r.At
		if at != "csv" {
			at += ".client"
		}
		in.mistakes = append(in.mistakes, legacy.Mistake{At: at, Place: r.Place, Rule: "name", Words: "the client " + err.Error()})
	case ids[0] == in.firm:
		r.Client = ids[1]
	}
}

// resolve finds out what an import does, or names everything that is wrong with it.
func (in *rowsOf) resolve(tx *sqldb.Tx, connection string) (legacy.Import, *syncv1.ImportLegacyLinksResponse, error) {
	var out legacy.Import
	conn, err := store.Connection(tx, in.firm, connection)
	if err != nil {
		return out, nil, err
	}
	if conn.State == run.ConnectionDisconnected {
		return out, nil, errInactive.With("state", string(conn.State)).With("state_reason", conn.StateReason)
	}
	if !conn.HadFormerIDs() {
		return out, nil, errNeverLegacy
	}
	wrong := map[string]bool{}
	for _, m := range in.mistakes {
		wrong[m.Place] = true
	}
	good := slices.DeleteFunc(slices.Clone(in.rows), func(r legacy.Row) bool { return wrong[r.Place] })
	there, err := present(tx, in.firm, connection, good)
	if err != nil {
		return out, nil, err
	}
	out, mistakes := legacy.Resolve(good, in.firm, connection, there, store.NewID)
	if mistakes = slices.Concat(in.mistakes, mistakes); len(mistakes) > 0 {
		return out, nil, mistaken(mistakes)
	}
	return out, &syncv1.ImportLegacyLinksResponse{
		Imported: int32(len(out.Links)), Unchanged: int32(out.Unchanged), ClientsFound: int32(out.Found), ClientsCreated: int32(len(out.Made)),
	}, nil
}

// present reads what rows may mean.
func present(tx *sqldb.Tx, firm, connection string, rows []legacy.Row) (p legacy.Present, err error) {
	if p.Links, err = legacies.All(tx, firm, connection); err != nil {
		return p, err
	}
	var codes, byName, clients []string
	for _, r := range rows {
		codes, byName, clients = append(codes, match.CodeKey(r.Code)), append(byName, match.NameKey(r.Name)), append(clients, r.Client)
	}
	for _, keys := range []*[]string{&codes, &byName, &clients} {
		slices.Sort(*keys)
		*keys = slices.Compact(*keys)
	}
	if p.Named, err = legacies.Existing(tx, firm, clients); err != nil {
		return p, err
	}
	p.ByCode, p.ByName, err = legacies.Known(tx, firm, codes, byName)
	return p, err
}

// told is how many mistakes are told in full: more of them are of the same kind, and an answer has to fit into its frame.
const told = 100

// mistaken names all mistakes, each with its place. Of those beyond the first hundred the places alone.
func mistaken(mistakes []legacy.Mistake) error {
	err := rpcerr.Default(codes.InvalidArgument).Messagef("the import has %d mistakes; nothing was imported", len(mistakes))
	if len(mistakes) == 1 {
		err = err.Messagef("the import has a mistake; nothing was imported")
	}
	for _, m := range mistakes[:min(len(mistakes), told)] {
		words := m.Words
		if m.Place != "" {
			words = m.Place + ": " + words
		}
		err = err.Field(m.At, m.Rule, words)
	}
	if len(mistakes) <= told {
		return err
	}
	var rest []string
	for _, m := range mistakes[told:] {
		rest = append(rest, m.Place)
	}
	return err.Field(mistakes[told].At, "more", fmt.Sprintf("%d more: %s", len(rest), strings.Join(slices.Compact(rest), ", ")))
}

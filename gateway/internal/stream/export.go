package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/request"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// export answers a client's history as a CSV file, piece by piece.
func (h *Handlers) export(w http.ResponseWriter, r *http.Request, client string) {
	query, refused := request.Query(r, "kind")
	if refused != nil {
		problem.Write(w, r, refused)
		return
	}
	pieces, err := h.clients.ExportClientHistory(r.Context(), &syncv1.ExportClientHistoryRequest{
		Parent: client, Kind: query["kind"],
	})
	if err != nil {
		problem.WriteError(w, r, err)
		return
	}
	download(w, r, "text/csv; charset=utf-8", func() string { return h.fileName(r.Context(), client) }, func() ([]byte, error) {
		piece, err := pieces.Recv()
		return piece.GetData(), err
	})
}

// audit answers the firm's audit ledger as a file of JSON lines, piece by piece.
func (h *Handlers) audit(w http.ResponseWriter, r *http.Request, firm string) {
	query, refused := request.Query(r, "firstSequence")
	if refused != nil {
		problem.Write(w, r, refused)
		return
	}
	var first int64
	if text, ok := query["firstSequence"]; ok {
		var err error
		if first, err = strconv.ParseInt(text, 10, 64); err != nil {
			problem.Write(w, r, problem.Invalid(problem.Field{Field: "firstSequence", Rule: "int64", Detail: "must be a whole number"}))
			return
		}
	}
	pieces, err := h.ledger.ExportAuditEntries(r.Context(), &authv1.ExportAuditEntriesRequest{Parent: firm, FirstSequence: first})
	if err != nil {
		problem.WriteError(w, r, err)
		return
	}
	name := func() string { return "Audit ledger " + h.now().UTC().Format(time.DateOnly) + ".jsonl" }
	download(w, r, "application/jsonl", name, func() ([]byte, error) {
		piece, err := pieces.Recv()
		return piece.GetContent(), err
	})
}

// download passes pieces of a file on until io.EOF. The first one decides between a problem document and a file.
func download(w http.ResponseWriter, r *http.Request, kind string, name func() string, next func() ([]byte, error)) {
	piece, err := next()
	if err != nil && !errors.Is(err, io.EOF) {
		problem.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", disposition(name()))
	for err == nil {
		if _, werr := w.Write(piece); werr != nil {
			return
		}
		piece, err = next()
	}
	if !errors.Is(err, io.EOF) {
		// The status is gone; a cut connection is the only honest end for a file that is not whole.
		panic(http.ErrAbortHandler)
	}
}

// fileName is what the export is saved as: the name under which an off-boarding files the same history. A client whose
// name does not answer at this moment costs nobody the export.
func (h *Handlers) fileName(ctx context.Context, client string) string {
	name := "client"
	if resp, err := h.clients.GetClient(ctx, &syncv1.GetClientRequest{Name: client}); err == nil {
		if clean := tame(resp.GetClient().GetDisplayName()); clean != "" {
			name = clean
		}
	}
	return fmt.Sprintf("Client history %s %s.csv", name, h.now().UTC().Format(time.DateOnly))
}

// longest is how many characters of a client's name a file name has: with four bytes each they stay, with the words
// around, within the 255 bytes that file systems take.
const longest = 50

// tame takes out of a name what no file name may hold.
func tame(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`/\:*?"<>|`, r) {
			return ' '
		}
		return r
	}, name)
	name = strings.Trim(strings.Join(strings.Fields(name), " "), ". ")
	if runes := []rune(name); len(runes) > longest {
		name = strings.TrimSpace(string(runes[:longest]))
	}
	return name
}

// disposition has browsers save the answer under a name (RFC 6266): in UTF-8, and for programs that do not know that
// form with an underscore for every character outside ASCII.
func disposition(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r > '~' {
			return '_'
		}
		return r
	}, name)
	out := fmt.Sprintf(`attachment; filename="%s"`, plain)
	if plain != name {
		out += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return out
}

package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/request"
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
	first, err := pieces.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		problem.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", disposition(h.fileName(r.Context(), client)))
	for err == nil {
		if _, werr := w.Write(first.GetData()); werr != nil {
			return
		}
		first, err = pieces.Recv()
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

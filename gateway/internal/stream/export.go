package stream

import (
	"errors"
	"io"
	"net/http"

	"github.com/concord-suite/concord/gateway/internal/problem"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// export answers a client's history as a CSV file, piece by piece.
func (h *Handlers) export(w http.ResponseWriter, r *http.Request, client string) {
	pieces, err := h.clients.ExportClientHistory(r.Context(), &syncv1.ExportClientHistoryRequest{
		Parent: client, Kind: r.URL.Query().Get("kind"),
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
	w.Header().Set("Content-Disposition", `attachment; filename="client-history.csv"`)
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

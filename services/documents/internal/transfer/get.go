package transfer

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

func (h *Handler) get(w http.ResponseWriter, r *http.Request, ticket string) {
	d, object, err := h.open(r.Context(), ticket)
	if err != nil {
		p := problemOf(err)
		if p.Reason == failing.Reason && r.Context().Err() == nil {
			h.Logger.ErrorContext(r.Context(), "a download failed", "error", err)
		}
		p.write(w)
		return
	}
	defer object.Close()
	head := w.Header()
	head.Set("Content-Type", contentType(d.MediaType))
	head.Set("Content-Disposition", disposition(d.DisplayName))
	head.Set("ETag", `"`+d.SHA256+`"`)
	// Foreign content: it is not guessed at, not shown inside a page, and not kept by anybody in between.
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	head.Set("Cache-Control", "private, no-store")
	body := content(object)
	http.ServeContent(&ranged{ResponseWriter: w}, r, "", d.Created, body)
	if cut, ok := body.(*watched); ok && r.Context().Err() == nil {
		if err := cut.failed.Load(); err != nil {
			h.Logger.ErrorContext(r.Context(), "a download was cut", "error", *err)
		}
	}
}

// watched remembers why an object could not be read to its end: the server only stops. Several ranges are read beside the one
// who asked for them, who may be gone before the read is.
type watched struct {
	blob.Object
	failed atomic.Pointer[error]
}

// Read implements io.Reader.
func (o *watched) Read(b []byte) (int, error) {
	n, err := o.Object.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		o.failed.Store(&err)
	}
	return n, err
}

// ranged answers a range that the document does not have as a problem, where the server would write a line of text. What
// else passes it is untouched, so that the kernel still sends the bytes.
type ranged struct {
	http.ResponseWriter
	refused bool
}

// WriteHeader implements http.ResponseWriter.
func (w *ranged) WriteHeader(status int) {
	if status != http.StatusRequestedRangeNotSatisfiable {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.refused = true
	w.Header().Del("Content-Disposition")
	outside.write(w.ResponseWriter)
}

// Write implements http.ResponseWriter.
func (w *ranged) Write(b []byte) (int, error) {
	if w.refused {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom implements io.ReaderFrom.
func (w *ranged) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }

// Unwrap is for http.ResponseController.
func (w *ranged) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// open reads what a ticket permits, whether it still does, and opens the bytes. That they were asked for stands in the audit
// ledger since the ticket was made; a reader that asks for a thousand ranges asks for one document.
func (h *Handler) open(ctx context.Context, ticket string) (d filing.Document, object blob.Object, err error) {
	id, ok := h.Tickets.read(down, ticket)
	if !ok {
		return d, nil, unknown
	}
	permit, d, key, err := store.DocumentOnTicket(ctx, h.DB, id)
	switch {
	case err != nil:
		return d, nil, err
	case !h.Now().Before(permit.Expires):
		return d, nil, unknown
	}
	if p := h.admitted(ctx, permit.Firm, permit.Caller); p != nil {
		return d, nil, *p
	}
	if permit.Caller.Contact != "" {
		if err = h.DB.Read(ctx, func(tx *sqldb.Tx) error {
			d, err = Readable(tx, permit.Firm, permit.Caller.Contact, permit.Document)
			return err
		}); err != nil {
			return d, nil, err
		}
	}
	object, err = h.Blobs.Open(ctx, key)
	return d, object, err
}

// Readable reads a document for somebody who may open it: staff wherever its folder stands short of destroyed, a contact
// what it sees.
func Readable(tx *sqldb.Tx, firm, contact, id string) (filing.Document, error) {
	if contact != "" {
		return store.DocumentSeenBy(tx, firm, contact, id)
	}
	return store.DocumentOf(tx, firm, id)
}

// content gives the server the file itself where there is one, which the kernel then sends by itself.
func content(o blob.Object) io.ReadSeeker {
	if f, ok := o.(interface{ OSFile() *os.File }); ok {
		return f.OSFile()
	}
	return &watched{Object: o}
}

// contentType keeps a declared type only when it is one, written as types are: nothing else of what was declared goes into
// a header.
func contentType(declared string) string {
	kind, params, err := mime.ParseMediaType(declared)
	if written := mime.FormatMediaType(kind, params); err == nil && written != "" {
		return written
	}
	return "application/octet-stream"
}

// disposition makes browsers save the document under its name, whatever is in it.
func disposition(name string) string {
	if d := mime.FormatMediaType("attachment", map[string]string{"filename": name}); d != "" {
		return d
	}
	return "attachment"
}

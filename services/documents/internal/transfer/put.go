package transfer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// MaxTransfer bounds how long an upload may take after its ticket was made: the largest files people send go over a home
// line in a night. The row of the upload is kept for as long.
const MaxTransfer = 24 * time.Hour

func (h *Handler) put(w http.ResponseWriter, r *http.Request, ticket string) {
	d, err := h.receive(w, r, ticket)
	if err != nil {
		p := problemOf(err)
		if p.Status >= http.StatusInternalServerError && p.Reason != stale.Reason && r.Context().Err() == nil {
			h.Logger.ErrorContext(r.Context(), "an upload failed", "error", err)
		}
		p.write(w)
		return
	}
	// Every field is there, as in the gateway's own answers: frontends read this one as they read those.
	body, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(h.Render(d))
	if err != nil {
		failing.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}

// receive takes the bytes of an upload and makes its document.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, ticket string) (d filing.Document, err error) {
	id, ok := h.Tickets.read(up, ticket)
	if !ok {
		return d, unknown
	}
	u, err := h.upload(r.Context(), id)
	if err != nil {
		return d, err
	}
	switch {
	case r.ContentLength >= 0 && r.ContentLength < u.Size:
		return d, short
	case r.ContentLength > u.Size:
		return d, long
	}
	ctx, cancel := context.WithTimeout(as(r.Context(), u.Firm, u.Caller), u.Created.Add(MaxTransfer).Sub(h.Now()))
	defer cancel()
	give, err := h.turns.take(ctx, u.Caller.Name)
	if err != nil {
		return d, err
	}
	defer give()
	staged, err := h.Blobs.Stage(ctx, u.Size)
	if err != nil {
		return d, err
	}
	defer staged.Discard()
	head, err := h.take(ctx, w, r, staged, u.Size)
	if err != nil {
		return d, err
	}
	if u.SHA256 != "" && u.SHA256 != staged.Sum() {
		return d, altered
	}
	media := u.MediaType
	if media == "" {
		media = mediaTypeOf(head, u.DisplayName)
	}
	err = Settle(ctx, h.DB, staged, u.Firm, func(tx *sqldb.Tx, key blob.Key) error {
		d, err = h.Cabinet.FileUpload(tx, u.ID, cabinet.Arrived{Key: key, Size: staged.Size(), MediaType: media})
		if err != nil {
			return err
		}
		return h.Audit.Record(tx, audit.Act{Firm: d.Firm, Action: "bytes.put", Permission: "document.upload", Kind: audit.Change,
			Resource: names.Format(cabinet.DocumentPattern, d.Firm, d.ID)})
	})
	return d, err
}

// upload reads what a ticket permits, and whether it still does.
func (h *Handler) upload(ctx context.Context, id string) (u filing.Upload, err error) {
	err = h.DB.Read(ctx, func(tx *sqldb.Tx) error {
		u, err = store.UploadOf(tx, id)
		return err
	})
	switch {
	case errors.Is(err, filing.ErrNotFound):
		return u, over // the ticket was ours once
	case err != nil:
		return u, err
	case !u.Done && !h.Now().Before(u.Expires):
		return u, over
	}
	if p := h.admitted(ctx, u.Firm, u.Caller); p != nil {
		return u, *p
	}
	if u.Caller.Contact == "" {
		return u, nil
	}
	related := false
	err = h.DB.Read(ctx, func(tx *sqldb.Tx) error {
		f, err := store.FolderOf(tx, u.Firm, u.Folder)
		if err != nil {
			return err
		}
		related, err = store.Relates(tx, u.Firm, u.Caller.Contact, f.Client)
		return err
	})
	switch {
	case errors.Is(err, filing.ErrNotFound):
		return u, over
	case err == nil && !related:
		return u, unknown
	}
	return u, err
}

// buffers are what bytes pass through. 256 KiB keeps system calls few and a thousand slow senders within 256 MiB.
var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// take copies exactly size bytes of the body into staged and returns the first of them.
func (h *Handler) take(ctx context.Context, w http.ResponseWriter, r *http.Request, staged io.Writer, size int64) (head []byte, err error) {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	body := &patient{ctx: ctx, body: r.Body, control: http.NewResponseController(w), idle: h.Idle}
	for left := size; ; {
		n, err := io.ReadFull(body, (*buffer)[:min(int64(len(*buffer)), left+1)])
		if int64(n) > left {
			return nil, long
		}
		if head == nil {
			head = append([]byte{}, (*buffer)[:min(n, 512)]...)
		}
		if _, err := staged.Write((*buffer)[:n]); err != nil {
			return nil, err
		}
		left -= int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if left > 0 {
				return nil, short
			}
			// A deadline that passed while a bucket takes its time over the bytes would end the request.
			_ = body.control.SetReadDeadline(time.Time{})
			return head, nil
		case err != nil:
			return nil, short // the sender is gone, or said nothing for too long
		}
	}
}

// patient reads a body for as long as its sender keeps sending.
type patient struct {
	ctx     context.Context
	body    io.Reader
	control *http.ResponseController
	idle    time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	// A connection that knows no deadline (a test's recorder) does not need one.
	_ = p.control.SetReadDeadline(time.Now().Add(p.idle))
	return p.body.Read(b)
}

// mediaTypeOf looks at the first bytes, and at the name where those say only "a ZIP file".
func mediaTypeOf(head []byte, name string) string {
	found := http.DetectContentType(head)
	if found == "application/zip" || found == "application/octet-stream" {
		if known, ok := office[strings.ToLower(path.Ext(name))]; ok {
			return known
		}
	}
	return found
}

// office are the types that practices file most, by the end of their names.
var office = map[string]string{
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".doc":  "application/msword",
	".xls":  "application/vnd.ms-excel",
	".ppt":  "application/vnd.ms-powerpoint",
	".msg":  "application/vnd.ms-outlook",
}

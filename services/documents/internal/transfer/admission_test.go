package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/audit"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

// rig is a handler with a database and a folder of bytes, and a client of a firm with a contact.
type rig struct {
	t                             *testing.T
	db                            *sqldb.DB
	blobs                         *counted
	cabinet                       *cabinet.Cabinet
	handler                       *Handler
	firm, client, folder, contact string
	scope                         func() error // what happens when somebody asks how fresh the contact's scope is
}

// counted counts the uploads that are staged at once.
type counted struct {
	blob.Store
	now, most atomic.Int64
}

// Stage implements blob.Store.
func (c *counted) Stage(ctx context.Context, size int64) (blob.Staged, error) {
	staged, err := c.Store.Stage(ctx, size)
	now := c.now.Add(1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); {
		most = c.most.Load()
	}
	return &countedStage{staged, c}, err
}

type countedStage struct {
	blob.Staged
	of *counted
}

// Discard implements blob.Staged.
func (s *countedStage) Discard() {
	s.Staged.Discard()
	s.of.now.Add(-1)
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, firm: newID(), client: newID(), contact: newID(), cabinet: cabinet.New(time.Now, 30*24*time.Hour),
		scope: func() error { return nil },
		db:    sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), sqldb.Join(events.Schema, store.Migrations))}
	local, err := blob.OpenLocal(t.TempDir())
	require.NoError(t, err)
	r.blobs = &counted{Store: local}
	ring, err := vault.OpenOrCreate(filepath.Join(t.TempDir(), "keyring.json"))
	require.NoError(t, err)
	r.handler = New(Deps{DB: r.db, Blobs: r.blobs, Cabinet: r.cabinet, Tickets: NewTickets(ring), Now: time.Now, Idle: time.Minute,
		Scope: func(context.Context, string) error { return r.scope() }, Logger: slog.New(slog.DiscardHandler),
		Audit:  audit.New(r.db, audit.Options{Service: "documents"}),
		Render: func(filing.Document) proto.Message { return &documentsv1.GetDocumentResponse{} }})
	r.tx(func(tx *sqldb.Tx) error {
		return r.cabinet.NameClient(tx, cabinet.Profile{Firm: r.firm, Client: r.client, DisplayName: "One", Sequence: 1})
	})
	r.relate(1, r.client)
	require.NoError(t, r.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		c, err := store.ClientOf(tx, r.firm, r.client)
		r.folder = c.Folder
		return err
	}))
	return r
}

func (r *rig) tx(fn func(*sqldb.Tx) error) {
	r.t.Helper()
	require.NoError(r.t, r.db.Tx(r.t.Context(), fn))
}

// relate says what the contact relates to.
func (r *rig) relate(sequence int64, clients ...string) {
	r.t.Helper()
	r.tx(func(tx *sqldb.Tx) error {
		return r.cabinet.RelateContact(tx, store.Scope{Firm: r.firm, Contact: r.contact, Clients: clients}, sequence)
	})
}

// as is a caller: the contact, or a member of staff.
func (r *rig) as(contact bool, name string) filing.Caller {
	c := filing.Caller{Name: "firms/" + r.firm + "/staff/" + name, Kind: int32(access.Staff), ID: name}
	if contact {
		c = filing.Caller{Name: "firms/" + r.firm + "/contacts/" + r.contact, Contact: r.contact, Kind: int32(access.Contact), ID: r.contact}
	}
	return c
}

// sending is where a caller may send so many bytes.
func (r *rig) sending(c filing.Caller, size int) (path string) {
	r.t.Helper()
	now := time.Now()
	u := filing.Upload{ID: newID(), Firm: r.firm, Folder: r.folder, DisplayName: newID(), Size: int64(size), Caller: c, Created: now,
		Expires: now.Add(time.Hour)}
	r.tx(func(tx *sqldb.Tx) error { return store.AddUpload(tx, u) })
	ticket, err := r.handler.Tickets.Upload(u.ID)
	require.NoError(r.t, err)
	return Path + ticket
}

// fetching is where a caller may fetch a document.
func (r *rig) fetching(c filing.Caller, document string) (path string) {
	r.t.Helper()
	d := filing.Download{ID: newID(), Firm: r.firm, Document: document, Caller: c, Expires: time.Now().Add(time.Hour)}
	r.tx(func(tx *sqldb.Tx) error { return store.AddDownload(tx, d) })
	ticket, err := r.handler.Tickets.Download(d.ID)
	require.NoError(r.t, err)
	return Path + ticket
}

func (r *rig) answer(method, path string, body io.Reader) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, httptest.NewRequest(method, path, body))
	return w
}

// published is a document that the contact may see.
func (r *rig) published(content string) (id string) {
	r.t.Helper()
	u := r.sending(r.as(true, ""), len(content)) // what a contact sends it sees
	require.Equal(r.t, http.StatusOK, r.answer(http.MethodPut, u, bytes.NewReader([]byte(content))).Code)
	sum := sha256.Sum256([]byte(content))
	require.NoError(r.t, r.db.QueryRow(r.t.Context(), `SELECT id FROM documents WHERE sha256 = $1`, blob.Sum(sum[:])).Scan(&id))
	return id
}

// What a contact may see is looked at after it is known freshly: what came in while that was waited for counts.
func TestScopeIsLookedAtWhenItIsFresh(t *testing.T) {
	r := newRig(t)
	get, put := r.fetching(r.as(true, ""), r.published("not theirs any more")), r.sending(r.as(true, ""), 1)
	require.Equal(t, http.StatusOK, r.answer(http.MethodGet, get, nil).Code)
	sequence := int64(1)
	change := func(clients ...string) {
		sequence++
		r.scope = func() error {
			r.relate(sequence, clients...)
			return nil
		}
	}
	change()
	require.Equal(t, http.StatusNotFound, r.answer(http.MethodGet, get, nil).Code)
	change(r.client)
	require.Equal(t, http.StatusOK, r.answer(http.MethodGet, get, nil).Code)
	change()
	require.Equal(t, http.StatusNotFound, r.answer(http.MethodPut, put, bytes.NewReader([]byte("x"))).Code)
	change(r.client)
	require.Equal(t, http.StatusOK, r.answer(http.MethodPut, put, bytes.NewReader([]byte("x"))).Code)
}

// Somebody who sends many files slowly takes the room of a few; the others of theirs wait, and everybody else's do not.
func TestNobodySendsAllFilesAtOnce(t *testing.T) {
	r := newRig(t)
	const many = 3 * atOnce
	answers, release := make(chan int, many), make(chan struct{})
	for range many {
		path := r.sending(r.as(true, ""), 2)
		body, sender := io.Pipe()
		go func() {
			_, _ = sender.Write([]byte("a"))
			<-release
			_, _ = sender.Write([]byte("b"))
			_ = sender.Close()
		}()
		go func() {
			req := httptest.NewRequest(http.MethodPut, path, body)
			req.ContentLength = 2
			w := httptest.NewRecorder()
			r.handler.ServeHTTP(w, req)
			answers <- w.Code
		}()
	}
	require.Eventually(t, func() bool { return r.blobs.now.Load() == atOnce }, time.Minute, time.Millisecond)
	other := r.sending(r.as(false, "colleague"), 1)
	require.Equal(t, http.StatusOK, r.answer(http.MethodPut, other, bytes.NewReader([]byte("b"))).Code)
	close(release)
	for range many {
		require.Equal(t, http.StatusOK, <-answers)
	}
	require.LessOrEqual(t, r.blobs.most.Load(), int64(atOnce+1), "with the colleague's")
	require.Empty(t, r.handler.turns.of, "nobody is remembered who sends nothing")
}

// Who waits for a turn and leaves takes none.
func TestATurnThatIsNotWaitedForIsNobodys(t *testing.T) {
	var all turns
	var given []func()
	for range atOnce {
		give, err := all.take(t.Context(), "a")
		require.NoError(t, err)
		given = append(given, give)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := all.take(gone, "a")
	require.ErrorIs(t, err, context.Canceled)
	give, err := all.take(t.Context(), "b")
	require.NoError(t, err)
	give()
	for _, give := range given {
		give()
	}
	require.Empty(t, all.of)
}

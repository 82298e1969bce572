package cabinet_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

var migrations = sqldb.Join(events.Schema, store.Migrations)

const actor = "firms/f/staff/s"

// rig is a firm with a cabinet on a real database.
type rig struct {
	t     testing.TB
	db    *sqldb.DB
	c     *cabinet.Cabinet
	firm  string
	clock *atomic.Int64 // microseconds
}

func newRig(t testing.TB, db *sqldb.DB) *rig {
	r := &rig{t: t, db: db, firm: newID(), clock: &atomic.Int64{}}
	r.clock.Store(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC).UnixMicro())
	r.c = cabinet.New(r.now, 30*24*time.Hour)
	return r
}

func each(t *testing.T, fn func(r *rig)) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) { fn(newRig(t, db)) })
}

func (r *rig) now() time.Time                    { return time.UnixMicro(r.clock.Load()).UTC() }
func (r *rig) wait(d time.Duration)              { r.clock.Add(d.Microseconds()) }
func newID() string                              { return uuid.Must(uuid.NewV7()).String() }
func (r *rig) ctx() context.Context              { return context.Background() }
func (r *rig) tx(fn func(*sqldb.Tx) error) error { return r.db.Tx(r.ctx(), fn) }

// do runs an operation that must work and returns its answer.
func do[T any](r *rig, fn func(tx *sqldb.Tx) (T, error)) T {
	r.t.Helper()
	got, err := try(r, fn)
	require.NoError(r.t, err)
	return got
}

// try runs an operation in a transaction of its own.
func try[T any](r *rig, fn func(tx *sqldb.Tx) (T, error)) (got T, err error) {
	err = r.tx(func(tx *sqldb.Tx) error {
		got, err = fn(tx)
		return err
	})
	return got, err
}

// client makes a listed client with its folder and returns both ids.
func (r *rig) client(name string) (client, folder string) {
	r.t.Helper()
	id := newID()
	require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error {
		return r.c.NameClient(tx, cabinet.Profile{Firm: r.firm, Client: id, DisplayName: name, Sequence: 1})
	}))
	return id, r.clientRow(id).Folder
}

func (r *rig) clientRow(id string) departure.Client {
	r.t.Helper()
	return do(r, func(tx *sqldb.Tx) (departure.Client, error) { return store.ClientOf(tx, r.firm, id) })
}

func (r *rig) folder(id string) filing.Folder {
	r.t.Helper()
	return do(r, func(tx *sqldb.Tx) (filing.Folder, error) { return store.FolderOf(tx, r.firm, id) })
}

func (r *rig) document(id string) filing.Document {
	r.t.Helper()
	return do(r, func(tx *sqldb.Tx) (filing.Document, error) { return store.DocumentOf(tx, r.firm, id) })
}

// arrived is what a store would say of the bytes of content.
func (r *rig) arrived(content string) cabinet.Arrived {
	sum := sha256.Sum256([]byte(content))
	return cabinet.Arrived{
		Key:  blob.Key{Firm: r.firm, SHA256: hex.EncodeToString(sum[:]), Generation: 1},
		Size: int64(len(content)), MediaType: "text/plain",
	}
}

// upload reserves an upload into a folder.
func (r *rig) upload(folder, name string) string {
	r.t.Helper()
	u := filing.Upload{ID: newID(), Firm: r.firm, Folder: folder, DisplayName: name, Caller: filing.Caller{Name: actor},
		Created: r.now(), Expires: r.now().Add(time.Hour)}
	require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error { return store.AddUpload(tx, u) }))
	return u.ID
}

// file puts a document into a folder.
func (r *rig) file(folder, name string) filing.Document {
	r.t.Helper()
	id := r.upload(folder, name)
	return do(r, func(tx *sqldb.Tx) (filing.Document, error) { return r.c.FileUpload(tx, id, r.arrived(name)) })
}

// relate makes a contact that relates to the clients.
func (r *rig) relate(clients ...string) string {
	r.t.Helper()
	id := newID()
	require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error {
		return r.c.RelateContact(tx, store.Scope{Firm: r.firm, Contact: id, Clients: clients}, 1)
	}))
	return id
}

// letter sends documents to a contact, all of them for signature.
func (r *rig) letter(client, contact string, documents ...string) signing.Job {
	r.t.Helper()
	return do(r, func(tx *sqldb.Tx) (signing.Job, error) {
		return r.c.SendLetter(tx, cabinet.Letter{Firm: r.firm, Client: client, Subject: "Please sign", Documents: documents,
			ForSignature: documents, Recipients: []string{contact}, SentBy: actor})
	})
}

func (r *rig) begin(client, offboarding string, override bool) (cabinet.Standing, error) {
	return try(r, func(tx *sqldb.Tx) (cabinet.Standing, error) {
		return r.c.BeginOffboarding(tx, cabinet.Fencing{Firm: r.firm, Client: client, Offboarding: offboarding,
			Override: override, Reason: "left the country", Actor: actor})
	})
}

func (r *rig) commit(client, offboarding string) cabinet.Left {
	r.t.Helper()
	return do(r, func(tx *sqldb.Tx) (cabinet.Left, error) {
		return r.c.CommitOffboarding(tx, r.firm, client, offboarding)
	})
}

func (r *rig) reverse(client, offboarding, name string) cabinet.Return {
	r.t.Helper()
	return do(r, func(tx *sqldb.Tx) (cabinet.Return, error) {
		return r.c.ReverseOffboarding(tx, r.firm, client, offboarding, name)
	})
}

func (r *rig) system(client, key, content string) (filing.Document, bool) {
	r.t.Helper()
	filed, err := r.fileFor(client, key, "", 0, content)
	require.NoError(r.t, err)
	return filed.Document, filed.InRecords
}

// fileFor files a revision of the history for an off-boarding.
func (r *rig) fileFor(client, key, offboarding string, revision int64, content string) (cabinet.Filed, error) {
	return try(r, func(tx *sqldb.Tx) (cabinet.Filed, error) {
		return r.c.FileSystem(tx, cabinet.SystemFile{Firm: r.firm, Client: client, Key: key, DisplayName: "history.csv",
			Revision: revision, Offboarding: offboarding, Bytes: r.arrived(content)})
	})
}

// told lists the events of the outbox of one type, in order.
func told[T proto.Message](r *rig) []T {
	r.t.Helper()
	var kind T
	name := string(kind.ProtoReflect().Descriptor().FullName())
	return do(r, func(tx *sqldb.Tx) ([]T, error) {
		return sqldb.Collect(tx, func(rows *sqldb.Rows) (T, error) {
			var payload []byte
			var none T
			if err := rows.Scan(&payload); err != nil {
				return none, err
			}
			message := none.ProtoReflect().New().Interface().(T)
			return message, proto.Unmarshal(payload, message)
		}, `SELECT payload FROM events_outbox WHERE type = $1 AND firm = $2 ORDER BY position`, name, r.firm)
	})
}

// trails lists the places on a client's trail that the outbox tells of, in order.
func (r *rig) trails(client string) []int64 {
	r.t.Helper()
	rows := do(r, func(tx *sqldb.Tx) ([][2]any, error) {
		return sqldb.Collect(tx, func(rows *sqldb.Rows) (pair [2]any, err error) {
			var kind string
			var payload []byte
			err = rows.Scan(&kind, &payload)
			return [2]any{kind, payload}, err
		}, `SELECT type, payload FROM events_outbox WHERE firm = $1 ORDER BY position`, r.firm)
	})
	var places []int64
	for _, row := range rows {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(row[0].(string)))
		require.NoError(r.t, err)
		message := kind.New().Interface()
		require.NoError(r.t, proto.Unmarshal(row[1].([]byte), message))
		m, ok := message.(interface {
			GetTrail() *documentseventsv1.ClientTrail
		})
		if ok && m.GetTrail().GetClient() == fmt.Sprintf("firms/%s/clients/%s", r.firm, client) {
			places = append(places, m.GetTrail().GetSequence())
		}
	}
	return places
}

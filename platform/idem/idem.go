// Package idem remembers what mutating RPCs answered, so that a request that comes twice happens once.
//
// A request is known by who sent it (firm, kind and id of the principal), by its message type (each RPC has its own) and
// by its request_id. The same request again, within 24 hours, gets the answer of the first time. The same request_id
// with another payload is refused with REQUEST_ID_REUSED: a client that reuses ids would otherwise lose a change and
// never know.
//
// Do is for changes that are one transaction, which is nearly all of them: the answer is stored in it. A change with
// HTTP or RPC between its transactions uses Begin and Attempt.Finish.
//
// What is not remembered: failures, so that they can be tried again; requests without a request_id, which simply
// happen; and requests of somebody not signed in, since two strangers cannot be told apart and one must not get the
// other's answer. Fields marked secret in the contract are left out of what is stored: a repeated request gets the same
// answer without them, and a different password alone does not make a different payload.
//
// The table comes from Schema, which a service joins to its own migrations:
//
//	sqldb.Migrate(ctx, db, sqldb.Join(store.Migrations, idem.Schema))
package idem

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// Life is how long an answer is remembered: a client that comes back the next morning is a new request.
const Life = 24 * time.Hour

//go:embed migrations
var migrations embed.FS

// Schema is the part of a service's schema that this package needs.
var Schema = sqldb.Named("idem", migrations)

var (
	errReused = rpcerr.New(codes.InvalidArgument, rpcerr.RequestIDReused, "the request_id was used for another request").
			Field("request_id", "reused", "was used for another request in the last 24 hours")
	errInProgress = rpcerr.New(codes.Aborted, rpcerr.RequestInProgress, "the same request is being worked on; ask again")
)

// Memory is where answers are remembered: the service's own database.
type Memory struct {
	db  *sqldb.DB
	now access.Clock
}

// New makes the memory of a database that has Schema.
func New(db *sqldb.DB, now access.Clock) *Memory { return &Memory{db: db, now: now} }

// key is what a request is known by.
type key struct {
	firm      string
	kind      int
	caller    string
	request   string
	requestID string
	payload   []byte
}

// keyOf reads the key of a request. It reports false when the request is not to be remembered.
func keyOf(ctx context.Context, req proto.Message) (key, bool, error) {
	p := access.From(ctx)
	m := req.ProtoReflect()
	f := m.Descriptor().Fields().ByName("request_id")
	if p.Kind == access.Anonymous || f == nil || f.Kind() != protoreflect.StringKind || m.Get(f).String() == "" {
		return key{}, false, nil
	}
	id := m.Get(f).String()
	bare := proto.Clone(req)
	bare.ProtoReflect().Clear(f)
	clearSecrets(bare.ProtoReflect())
	// Within one release the bytes are the same for the same message. A client whose request crosses an upgrade and
	// carries maps or unknown fields may at worst be told that its request_id was reused.
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	if err != nil {
		return key{}, false, fmt.Errorf("idem: request: %w", err)
	}
	sum := sha256.Sum256(payload)
	return key{
		firm: p.Firm, kind: int(p.Kind), caller: p.ID, request: string(m.Descriptor().FullName()), requestID: id,
		payload: sum[:],
	}, true, nil
}

// Do runs fn in a transaction and remembers its answer there, or returns the answer of the first time. fn is run again
// when the database asks for it, like the function of any sqldb.DB.Tx. When several equal requests come at once, one
// runs and the others get its answer.
func Do[R proto.Message](ctx context.Context, m *Memory, req proto.Message, fn func(tx *sqldb.Tx) (R, error)) (R, error) {
	k, remember, err := keyOf(ctx, req)
	if err != nil {
		var none R
		return none, err
	}
	var resp R
	err = m.db.Tx(ctx, func(tx *sqldb.Tx) error {
		if !remember {
			resp, err = fn(tx)
			return err
		}
		first, stored, err := m.claim(tx, k, "", m.now())
		if err != nil {
			return err
		}
		if !first {
			resp, err = answer[R](stored)
			return err
		}
		if resp, err = fn(tx); err != nil {
			return err
		}
		return m.store(tx, k, "", resp)
	})
	if err != nil {
		var none R
		return none, err
	}
	return resp, nil
}

// record is a remembered request.
type record struct {
	payload  []byte
	response []byte
	owner    string
	leased   time.Time
	expires  time.Time
}

// claim takes the key for this attempt, or returns who has it. Inserting first, rather than looking first, makes equal
// requests wait for each other at this row and not run side by side.
func (m *Memory) claim(tx *sqldb.Tx, k key, owner string, leased time.Time) (first bool, r record, err error) {
	const insert = `
		INSERT INTO idem_requests (firm, kind, caller, request, request_id, payload, owner, leased, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`
	for range 2 {
		n, err := tx.Exec(insert, k.firm, k.kind, k.caller, k.request, k.requestID, k.payload, owner,
			sqldb.Micros(leased), sqldb.Micros(m.now().Add(Life)))
		if err != nil || n == 1 {
			return n == 1, record{}, err
		}
		r, err := k.read(tx)
		if err != nil {
			return false, record{}, err
		}
		if r.expires.After(m.now()) {
			if subtle.ConstantTimeCompare(r.payload, k.payload) != 1 {
				return false, record{}, errReused
			}
			return false, r, nil
		}
		if err := k.forget(tx, r.owner); err != nil {
			return false, record{}, err
		}
	}
	return false, record{}, errors.New("idem: a request could not be claimed")
}

const whereKey = ` WHERE firm = $1 AND kind = $2 AND caller = $3 AND request = $4 AND request_id = $5`

func (k key) read(tx *sqldb.Tx) (record, error) {
	var r record
	var leased, expires int64
	var answered bool
	err := tx.QueryRow(`SELECT payload, response, response IS NOT NULL, owner, leased, expires FROM idem_requests`+whereKey,
		k.firm, k.kind, k.caller, k.request, k.requestID).Scan(&r.payload, &r.response, &answered, &r.owner, &leased, &expires)
	if answered && r.response == nil {
		r.response = []byte{} // SQLite's driver reads an empty value as none
	}
	r.leased, r.expires = sqldb.FromMicros(leased), sqldb.FromMicros(expires)
	return r, err
}

func (k key) forget(tx *sqldb.Tx, owner string) error {
	_, err := tx.Exec(`DELETE FROM idem_requests`+whereKey+` AND owner = $6`,
		k.firm, k.kind, k.caller, k.request, k.requestID, owner)
	return err
}

var errLost = errors.New("idem: the attempt was taken over by another")

// store puts the answer to a claimed key.
func (m *Memory) store(tx *sqldb.Tx, k key, owner string, resp proto.Message) error {
	bare := proto.Clone(resp)
	clearSecrets(bare.ProtoReflect())
	body, err := proto.Marshal(bare)
	if err != nil {
		return fmt.Errorf("idem: answer: %w", err)
	}
	if body == nil {
		body = []byte{} // an empty answer is an answer; NULL is none yet
	}
	n, err := tx.Exec(`UPDATE idem_requests SET response = $6, expires = $7`+whereKey+` AND owner = $8`,
		k.firm, k.kind, k.caller, k.request, k.requestID, body, sqldb.Micros(m.now().Add(Life)), owner)
	if err == nil && n != 1 {
		return errLost
	}
	return err
}

// answer decodes a remembered answer.
func answer[R proto.Message](r record) (R, error) {
	var none R
	if r.response == nil {
		return none, errInProgress
	}
	resp, ok := none.ProtoReflect().New().Interface().(R)
	if !ok {
		return none, fmt.Errorf("idem: %T is no message", none)
	}
	if err := proto.Unmarshal(r.response, resp); err != nil {
		return none, fmt.Errorf("idem: remembered answer: %w", err)
	}
	return resp, nil
}

// clearSecrets empties the fields that the contract marks as secret, at every depth.
func clearSecrets(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if secret, _ := proto.GetExtension(f.Options(), optionsv1.E_Secret).(bool); secret {
			m.Clear(f)
			return true
		}
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool { clearSecrets(e.Message()); return true })
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				clearSecrets(v.List().Get(i).Message())
			}
		case !f.IsMap() && !f.IsList() && f.Message() != nil:
			clearSecrets(v.Message())
		}
		return true
	})
}

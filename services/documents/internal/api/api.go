// Package api answers the RPCs of documents: it reads requests, asks the cabinet and the store, and writes answers.
//
// The chain has decided who may call and in which firm before a handler runs. What is left to decide here is what a
// contact sees: its questions go to other queries than those of staff, and only while what it relates to is known
// freshly enough.
package api

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/blob"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
	"github.com/concord-suite/concord/services/documents/internal/transfer"
)

// Deps is what the handlers work with.
type Deps struct {
	DB      *sqldb.DB
	Memory  *idem.Memory
	Cabinet *cabinet.Cabinet
	Blobs   blob.Store
	Tickets *transfer.Tickets
	// Scope says whether what contacts may see is known freshly enough, for a firm.
	Scope func(ctx context.Context, firm string) error
	// Known waits until what the client list committed before a moment is known here, for a firm, and says why it is not.
	Known func(ctx context.Context, firm string, before time.Time) error
	Now   func() time.Time
	// TicketLife is how long a ticket for bytes is good.
	TicketLife time.Duration
}

// Register adds the services to a server.
func Register(r grpc.ServiceRegistrar, d Deps) {
	documentsv1.RegisterFolderServiceServer(r, &folders{Deps: d})
	documentsv1.RegisterDocumentServiceServer(r, &documents{Deps: d})
	documentsv1.RegisterEmailJobServiceServer(r, &emailJobs{Deps: d})
	documentsv1.RegisterOffboardingServiceServer(r, &offboardings{Deps: d})
}

// Actor is how events and documents name who acts: an account, a contact, or the system.
func Actor(ctx context.Context) string {
	p := access.From(ctx).Origin()
	switch p.Kind {
	case access.Administrator, access.Staff, access.ReadOnlyStaff:
		return names.Format("firms/{firm}/staff/{staff}", p.Firm, p.ID)
	case access.AddIn:
		if p.ActsFor != nil {
			return names.Format("firms/{firm}/staff/{staff}", p.Firm, p.ActsFor.Account)
		}
	case access.Contact:
		return names.Format(cabinet.ContactPattern, p.Firm, p.ID)
	}
	return filing.System
}

// contactOf is the id of the contact that calls, empty when somebody else does. A contact's principal has the contact's id.
func contactOf(ctx context.Context) string {
	if p := access.From(ctx); p.Kind == access.Contact {
		return p.ID
	}
	return ""
}

// viewer is contactOf for questions whose answers depend on what the contact relates to: they are refused while that is
// not known freshly enough.
func (d Deps) viewer(ctx context.Context, firm string) (contact string, err error) {
	if contact = contactOf(ctx); contact == "" {
		return "", nil
	}
	return contact, d.fresh(ctx, firm)
}

func (d Deps) fresh(ctx context.Context, firm string) error {
	if err := d.Scope(ctx, firm); err != nil {
		return errScopeStale.Because(err)
	}
	return nil
}

// caller is what a ticket remembers of who asked for it.
func caller(ctx context.Context) filing.Caller {
	p := access.From(ctx)
	return filing.Caller{Name: Actor(ctx), Contact: contactOf(ctx), Kind: int32(p.Kind), ID: p.ID, Session: p.Session, Address: p.Address}
}

// parse reads a resource name that the request must hold, and returns firm and id.
func parse(field, pattern, name string) (firm, id string, err error) {
	ids, err := names.ParseField(field, pattern, name)
	if err != nil {
		return "", "", err
	}
	return ids[0], ids[1], nil
}

// displayName reads a name that people give to a folder or document.
func displayName(field, name string) (string, error) {
	name = store.Clean(name)
	if name == "" {
		return "", rpcerr.Default(codes.InvalidArgument).Field(field, "required", "must not be blank")
	}
	if r, found := filing.Deceptive(name); found {
		return "", rpcerr.Default(codes.InvalidArgument).Field(field, "visible",
			fmt.Sprintf("holds U+%04X, which people do not see, or which has them see another name", r))
	}
	return name, nil
}

// within reads a resource name that may be absent and belongs to the firm; another firm's does not exist.
func within(firm, field, pattern, name string) (id string, err error) {
	if name == "" {
		return "", nil
	}
	of, id, err := parse(field, pattern, name)
	if err == nil && of != firm {
		return "", errNotFound
	}
	return id, err
}

// read answers a question in one consistent state.
func read[T any](ctx context.Context, db *sqldb.DB, fn func(tx *sqldb.Tx) (T, error)) (got T, err error) {
	err = db.Read(ctx, func(tx *sqldb.Tx) error {
		got, err = fn(tx)
		return err
	})
	return got, failure(err)
}

// write changes something that needs no request_id to be done once.
func write[T any](ctx context.Context, db *sqldb.DB, fn func(tx *sqldb.Tx) (T, error)) (got T, err error) {
	err = db.Tx(ctx, func(tx *sqldb.Tx) error {
		got, err = fn(tx)
		return err
	})
	return got, failure(err)
}

package api

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// contacts implements ContactService.
type contacts struct {
	syncv1.UnimplementedContactServiceServer
	Deps
}

// ListContacts implements ContactService.
func (s *contacts) ListContacts(ctx context.Context, req *syncv1.ListContactsRequest) (*syncv1.ListContactsResponse, error) {
	ids, err := parse("parent", firmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	of, err := within(ids[0], "client", clientPattern, req.GetClient())
	if err != nil {
		return nil, err
	}
	at, err := from(ctx, req, place{})
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	filter := store.ContactFilter{Firm: ids[0], Client: of, Query: req.GetQuery(), ReleasedOnly: req.GetReleasedOnly()}
	var page []client.Contact
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		page, err = store.ListContacts(tx, filter, at.Key, at.ID, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp := &syncv1.ListContactsResponse{}
	if len(page) > size {
		page = page[:size]
		last := page[size-1]
		resp.NextPageToken = place{Key: client.SortKey(last.Person.Name), ID: last.ID}.token(ctx, req)
	}
	for _, c := range page {
		resp.Contacts = append(resp.Contacts, contactMessage(c))
	}
	return resp, nil
}

// GetContact implements ContactService.
func (s *contacts) GetContact(ctx context.Context, req *syncv1.GetContactRequest) (*syncv1.GetContactResponse, error) {
	ids, err := parse("name", contactPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	var c client.Contact
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		c, err = store.Contact(tx, ids[0], ids[1])
		return err
	})
	if err != nil {
		return nil, err
	}
	return &syncv1.GetContactResponse{Contact: contactMessage(c)}, nil
}

// UpdateContact implements ContactService. Only a contact that no client keeps in step may be changed.
func (s *contacts) UpdateContact(ctx context.Context, req *syncv1.UpdateContactRequest) (*syncv1.UpdateContactResponse, error) {
	in := req.GetContact()
	ids, err := parse("contact.name", contactPattern, in.GetName())
	if err != nil {
		return nil, err
	}
	name := client.Text(in.GetDisplayName())
	if name == "" {
		return nil, rpcerr.Default(codes.InvalidArgument).Field("contact.display_name", "string.min_len", "must not be blank")
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.UpdateContactResponse, error) {
		c, err := store.LockContact(tx, ids[0], ids[1])
		if err != nil {
			return nil, err
		}
		if c.State != client.Released {
			return nil, errContactKept
		}
		if in.GetEtag() != store.Etag(c.Version) {
			return nil, errEtag
		}
		p := client.Person{
			Name: name, Email: in.GetEmail(), Phone: in.GetPhone(), Mobile: in.GetMobile(), Salutation: c.Person.Salutation,
		}.Clean()
		if err := store.UpdatePerson(tx, c.ID, p, c.Version, s.Now()); err != nil {
			if errors.Is(err, store.ErrMoved) {
				return nil, errEtag.Because(err)
			}
			return nil, err
		}
		c, err = store.Contact(tx, ids[0], ids[1])
		return &syncv1.UpdateContactResponse{Contact: contactMessage(c)}, err
	})
}

// DeleteContact implements ContactService.
func (s *contacts) DeleteContact(ctx context.Context, req *syncv1.DeleteContactRequest) (*syncv1.DeleteContactResponse, error) {
	ids, err := parse("name", contactPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.DeleteContactResponse, error) {
		c, err := store.LockContact(tx, ids[0], ids[1])
		if err != nil {
			return nil, err
		}
		switch {
		case len(c.Relations) > 0:
			return nil, errContactTied
		case c.State != client.Released:
			return nil, errContactKept
		}
		if err := store.SetContactState(tx, c.Firm, []string{c.ID}, client.Deleted, s.Now()); err != nil {
			return nil, err
		}
		return &syncv1.DeleteContactResponse{}, store.EmitRelations(tx, c.Firm, []string{c.ID})
	})
}

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
	"github.com/concord-suite/concord/services/sync/internal/store/details"
)

// clients implements ClientService, with offboardings.go and history.go.
type clients struct {
	syncv1.UnimplementedClientServiceServer
	Deps
}

// ListClients implements ClientService. A contact sees the clients in the list that the contact relates to.
func (s *clients) ListClients(ctx context.Context, req *syncv1.ListClientsRequest) (*syncv1.ListClientsResponse, error) {
	ids, err := parse("parent", firmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	at, err := from(ctx, req, place{})
	if err != nil {
		return nil, err
	}
	filter := store.ClientFilter{
		Firm: ids[0], Left: req.GetState() == syncv1.ClientState_CLIENT_STATE_OFFBOARDED, BlockedOnly: req.GetBlockedOnly(),
		Query: req.GetQuery(), Contact: viewer(ctx),
	}
	message := clientMessage
	if filter.Contact != "" {
		message = portalClient
		if filter.Left || filter.BlockedOnly {
			return &syncv1.ListClientsResponse{}, nil // what left, and what is about to, is the firm's affair
		}
	}
	size := pageSize(req.GetPageSize())
	resp := &syncv1.ListClientsResponse{}
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		page, err := store.ListClients(tx, filter, at.Key, at.ID, size+1)
		if err != nil {
			return err
		}
		if len(page) > size {
			page = page[:size]
			last := page[size-1]
			resp.NextPageToken = place{Key: client.SortKey(last.Fields.Name), ID: last.ID}.token(ctx, req)
		}
		apart, err := s.apart(tx, filter, page)
		if err != nil {
			return err
		}
		for _, c := range page {
			resp.Clients = append(resp.Clients, detailed(message(c), ids[0], apart[c.ID]))
		}
		resp.TotalSize, err = store.CountClients(tx, filter)
		return err
	})
	return resp, err
}

// apart returns what listings leave out of clients, by client. A client's own contact sees none of it.
func (s *clients) apart(tx *sqldb.Tx, f store.ClientFilter, page []client.Client) (map[string]client.Details, error) {
	if f.Contact != "" {
		return nil, nil
	}
	all := make([]string, len(page))
	for i, c := range page {
		all[i] = c.ID
	}
	return details.Of(tx, f.Firm, all)
}

// GetClient implements ClientService. To a contact, a client it does not relate to does not exist.
func (s *clients) GetClient(ctx context.Context, req *syncv1.GetClientRequest) (*syncv1.GetClientResponse, error) {
	ids, err := parse("name", clientPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	var c client.Client
	var apart map[string]client.Details
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if contact := viewer(ctx); contact != "" {
			if sees, err := store.Sees(tx, contact, ids[1]); err != nil || !sees {
				return errors.Join(err, errNoSuchClient)
			}
		}
		if c, err = store.Client(tx, ids[0], ids[1]); err != nil {
			return found(err)
		}
		apart, err = details.Of(tx, ids[0], []string{c.ID})
		return err
	})
	if err != nil {
		return nil, err
	}
	if viewer(ctx) != "" {
		return &syncv1.GetClientResponse{Client: portalClient(c)}, nil
	}
	return &syncv1.GetClientResponse{Client: detailed(clientMessage(c), c.Firm, apart[c.ID])}, nil
}

// found words a missing client.
func found(err error) error {
	if errors.Is(err, sqldb.ErrNotFound) {
		return errNoSuchClient.Because(err)
	}
	return err
}

// CreateClient implements ClientService.
func (s *clients) CreateClient(ctx context.Context, req *syncv1.CreateClientRequest) (*syncv1.CreateClientResponse, error) {
	ids, err := parse("parent", firmPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	in := req.GetClient()
	fields := client.Fields{
		Name: in.GetDisplayName(), Code: in.GetCode(), EntityType: in.GetEntityType(), Email: in.GetEmail(), Phone: in.GetPhone(),
	}.Clean()
	if fields.Name == "" {
		return nil, rpcerr.Default(codes.InvalidArgument).Field("client.display_name", "string.min_len", "must not be blank")
	}
	firm := ids[0]
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.CreateClientResponse, error) {
		// Behind the lock, so that a run that meets the same client at this moment finds it and does not make it again.
		if err := store.LockFirm(tx, firm); err != nil {
			return nil, err
		}
		id := store.NewID()
		err := store.InsertClients(tx, firm, s.Now(), []store.NewClient{{
			ID: id, Fields: fields, Actor: actor(ctx), Summary: "entered by hand",
		}})
		if err != nil {
			return nil, err
		}
		c, err := store.Client(tx, firm, id)
		return &syncv1.CreateClientResponse{Client: clientMessage(c)}, err
	})
}

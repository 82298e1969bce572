package api

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"github.com/concord-suite/concord/services/sync/internal/store/legacies"
)

// legacyLinks implements LegacyService, with imports.go.
type legacyLinks struct {
	syncv1.UnimplementedLegacyServiceServer
	Deps
}

// legacyPage is how many links a page has by default: they are read in one go, as a list to work through.
const legacyPage = 100

// ListLegacyLinks implements LegacyService.
func (s *legacyLinks) ListLegacyLinks(ctx context.Context, req *syncv1.ListLegacyLinksRequest) (*syncv1.ListLegacyLinksResponse, error) {
	ids, err := parse("parent", connectionPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	if err := s.know(ctx, ids[0], ids[1]); err != nil {
		return nil, err // a parent that does not exist has no list, not an empty one
	}
	at, err := from(ctx, req, place{})
	if err != nil {
		return nil, err
	}
	size := legacyPage
	if n := req.GetPageSize(); n > 0 {
		size = pageSize(n)
	}
	var state legacy.State
	if req.GetState() != syncv1.LegacyLinkState_LEGACY_LINK_STATE_UNSPECIFIED {
		state = legacy.State(word(req.GetState(), "LEGACY_LINK_STATE_"))
	}
	var page []legacy.Link
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		page, err = legacies.List(tx, ids[0], ids[1], state, at.Key, at.ID, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp := &syncv1.ListLegacyLinksResponse{}
	if len(page) > size {
		page = page[:size]
		last := page[size-1]
		resp.NextPageToken = place{Key: client.SortKey(last.Name), ID: last.ID}.token(ctx, req)
	}
	for _, l := range page {
		resp.LegacyLinks = append(resp.LegacyLinks, legacyLinkMessage(l))
	}
	return resp, nil
}

// DecideLegacyLink implements LegacyService.
func (s *legacyLinks) DecideLegacyLink(ctx context.Context, req *syncv1.DecideLegacyLinkRequest) (*syncv1.DecideLegacyLinkResponse, error) {
	ids, err := parse("name", legacyLinkPattern, req.GetName())
	if err != nil {
		return nil, err
	}
	var read *connectorv1.GetRecordResponse
	if !req.GetDismiss() {
		read = s.readRecord(ctx, ids[0], ids[1], req.GetRecordId())
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*syncv1.DecideLegacyLinkResponse, error) {
		if err := store.LockFirm(tx, ids[0]); err != nil {
			return nil, err
		}
		l, err := legacies.Lock(tx, ids[0], ids[1], ids[2])
		if err != nil {
			return nil, err
		}
		if l.State == legacy.Mapped {
			return nil, errDecided
		}
		if req.GetDismiss() {
			err = s.dismiss(ctx, tx, &l)
		} else {
			err = s.decide(ctx, tx, &l, req.GetRecordId(), read)
		}
		return &syncv1.DecideLegacyLinkResponse{LegacyLink: legacyLinkMessage(l)}, err
	})
}

// readRecord reads the record that somebody decides for, so that its client has its values at once. A provider that can't be
// asked now does not keep anybody from deciding: the next full run brings the values.
func (s *legacyLinks) readRecord(ctx context.Context, firm, connection, record string) *connectorv1.GetRecordResponse {
	var listed bool
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		c, err := store.Connection(tx, firm, connection)
		if err == nil && c.State.Usable() {
			_, err = legacies.Record(tx, connection, c.Tenant, record)
			listed = err == nil
		}
		return err
	})
	if err != nil || !listed {
		return nil
	}
	answer, err := s.Peers.Record(ctx, store.Name(firm, "connections", connection), record, true)
	if err != nil {
		return nil
	}
	return answer
}

func (s *legacyLinks) dismiss(ctx context.Context, tx *sqldb.Tx, l *legacy.Link) error {
	if l.State == legacy.Dismissed {
		return errDecided
	}
	l.State, l.Explanation, l.Candidates = legacy.Dismissed, "somebody said that it has no record", nil
	l.DecidedBy, l.DecidedAt = actor(ctx), s.Now()
	if err := legacies.Put(tx, []legacy.Link{*l}); err != nil {
		return err
	}
	return store.DropDecided(tx, l.Connection)
}

// decide links the client of a link to a record of the listing.
func (s *legacyLinks) decide(
	ctx context.Context, tx *sqldb.Tx, l *legacy.Link, record string, read *connectorv1.GetRecordResponse,
) error {
	conn, err := store.Connection(tx, l.Firm, l.Connection)
	if err != nil {
		return err
	}
	if !conn.State.Usable() {
		return errInactive.With("state", string(conn.State)).With("state_reason", conn.StateReason)
	}
	r, err := legacies.Record(tx, l.Connection, conn.Tenant, record)
	if err != nil {
		return unlisted(err)
	}
	linked, err := store.LinkedTo(tx, l.Connection, conn.Tenant, []string{record})
	if err != nil {
		return err
	}
	if other := linked[record]; other != "" {
		return errStale.Messagef("the record is linked to another client by now").With("client", store.Name(l.Firm, "clients", other))
	}
	if read.GetRecord().GetState() == connectorv1.RecordState_RECORD_STATE_DELETED {
		return errStale.Messagef("the record is deleted at the provider by now")
	}
	if err := s.linkingOf(ctx, tx, l, conn, r, read).do(); err != nil {
		return err
	}
	if err := store.DropSuggestions(tx, l.Connection, conn.Tenant, []string{record}); err != nil {
		return err
	}
	*l, err = legacies.Lock(tx, l.Firm, l.Connection, l.ID)
	return err
}

func unlisted(err error) error {
	if errors.Is(err, sqldb.ErrNotFound) {
		return rpcerr.Default(codes.InvalidArgument).Field("record_id", "listed", "is none of the last UPGRADE run's listing")
	}
	return err
}

// linkingOf is what links a link's client to a record, with all values of the record when it could be read.
func (s *legacyLinks) linkingOf(
	ctx context.Context, tx *sqldb.Tx, l *legacy.Link, conn run.Connection, r legacy.Record, read *connectorv1.GetRecordResponse,
) *linking {
	out := &linking{
		ctx: ctx, tx: tx, now: s.Now(), by: actor(ctx), firm: l.Firm, client: l.Client, name: r.Fields.Name, work: l.ID,
		resource: store.Name(l.Firm, "connections", l.Connection), inUse: !r.Archived, how: "by a person's decision",
		link: store.NewLink{Connection: l.Connection, Tenant: conn.Tenant, Record: r.ID, Base: r.Fields, At: r.At},
	}
	if rec := read.GetRecord(); rec.GetClient() != nil {
		out.known, out.inUse = true, rec.GetState() == connectorv1.RecordState_RECORD_STATE_ACTIVE
		out.link.Base, out.link.Hash, out.link.At = peer.ClientOf(rec.GetClient()), peer.HashOf(rec), read.GetServerTime().AsTime()
	}
	return out
}

package api

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/budget"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/record"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// Records implements RecordService.
type Records struct {
	connectorv1.UnsafeRecordServiceServer

	DB        *sqldb.DB
	Memory    *idem.Memory
	Upstream  *upstream.Upstream
	Providers provider.Registry
}

var _ connectorv1.RecordServiceServer = (*Records)(nil)

// lane is what part of the call limits a request may use.
func lane(interactive bool) budget.Lane {
	if interactive {
		return budget.Interactive
	}
	return budget.Background
}

// caller finds a connection and what calls for it are made with.
func (s *Records) caller(ctx context.Context, name string, in budget.Lane) (connection.Connection, provider.Definition, *upstream.Caller, error) {
	var c connection.Connection
	r, err := ref("connection", store.ConnectionPattern, name)
	if err == nil {
		err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
			c, err = store.ConnectionByID(tx, r, false)
			return err
		})
	}
	def, configured := s.Providers[c.Provider]
	switch {
	case err != nil:
		return c, def, nil, reason.Of(err)
	case c.State == connection.NeedsReauth:
		return c, def, nil, reason.NeedsReauth.Messagef("%s", c.Reason)
	case c.State == connection.Legacy:
		return c, def, nil, reason.Inactive.Messagef("the connection waits for its upgrade")
	case !c.Usable():
		return c, def, nil, reason.Inactive
	case !configured:
		return c, def, nil, reason.NotConfigured
	}
	return c, def, s.Upstream.Of(c, def, in), nil
}

// StreamRecords streams a listing, page by page. The next page is asked for when the one before is on its way, so a
// caller that does not read stops the calls.
func (s *Records) StreamRecords(req *connectorv1.StreamRecordsRequest, stream grpc.ServerStreamingServer[connectorv1.StreamRecordsResponse]) error {
	ctx := stream.Context()
	c, def, caller, err := s.caller(ctx, req.GetConnection(), lane(req.GetInteractive()))
	if err != nil {
		return err
	}
	query := provider.Query{Listing: wire.Listing(req.GetListing()), Since: req.GetChangedSince().AsTime()}
	if query.Listing == provider.ChangedClients && req.GetChangedSince() == nil {
		return rpcerr.Default(codes.InvalidArgument).Field("changed_since", "required", "is needed for a listing of changes")
	}
	if query.Listing == provider.LegacyIDs && !def.LegacyIDs {
		return reason.NotSupported.Messagef("this provider's clients had no other ids before")
	}
	from, err := parsePosition(req.GetPageToken(), c.ID, query.Listing)
	if err != nil {
		return err
	}
	query.From = from.Token
	l := newListing(s, c, query, from, caller, def.Adapter.List(caller, query))
	for done := false; !done; {
		if done, err = l.page(ctx, stream.Send); err != nil {
			return reason.Of(err)
		}
	}
	return nil
}

// GetRecord reads one client, with all its details when they are asked for. Details that nobody waits for go behind all
// other work: there are thousands of them, and a run has tens of calls.
func (s *Records) GetRecord(ctx context.Context, req *connectorv1.GetRecordRequest) (*connectorv1.GetRecordResponse, error) {
	in := lane(req.GetInteractive())
	if req.GetDetail() && in == budget.Background {
		in = budget.Least
	}
	c, def, caller, err := s.caller(ctx, req.GetConnection(), in)
	if err != nil {
		return nil, err
	}
	read := def.Adapter.Record
	if apart, ok := def.Adapter.(provider.Detailer); ok && req.GetDetail() {
		read = func(ctx context.Context, caller provider.Caller, id string) (record.Record, time.Time, error) {
			return apart.Detail(ctx, caller, c.ID, id)
		}
	}
	found, at, err := read(ctx, caller, req.GetRecordId())
	if err != nil {
		return nil, reason.Of(err)
	}
	return &connectorv1.GetRecordResponse{Record: wire.ToRecord(found.Within(c.Options.ContactTypes)), Calls: int32(caller.Calls()), ServerTime: timestamppb.New(at)}, nil
}
